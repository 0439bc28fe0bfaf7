"""MLflow's own server as a child process, and a proxy before it that refuses some requests."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

Refuse = Callable[[str, str, int], int | None]  # method, path and length of a request -> the status it is refused with


def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def mlflow_server(folder: Path, *options: str) -> Iterator[int]:
    """The port of a server on the database in `folder`."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", *options]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    silent: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **silent)
    try:
        _await_health(port)
        yield port
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def _await_health(port: int) -> None:
    for _ in range(240):
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError("mlflow server did not start")


@contextmanager
def refusing_proxy(port: int, refuse: Refuse) -> Iterator[str]:
    """The address of a proxy before `port`."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if status := refuse(self.command, self.path, length):
                return self.give(status, b"refused", {})
            with closing(HTTPConnection("127.0.0.1", port)) as behind:
                behind.request(self.command, self.path, body, {**self.headers, "Connection": "close"})
                answer = behind.getresponse()
                self.give(answer.status, answer.read(), {"Content-Type": answer.getheader("Content-Type", "")})

        def give(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
