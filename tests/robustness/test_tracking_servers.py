"""Servers that fail, silent, broken or dying half way: the stages go on, and the next execution fills in the runs."""

import shutil
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import mlflow
import pytest
from mlflow.entities import Run
from mlflow.tracking._tracking_service import utils

from pipeline import tracking
from pipeline.core.config import load_params
from pipeline.core.run_names import metric_name
from tests.support.tracking import report

STAGES = ("prepare", "finetune", "attention", "report")
SECONDS = 30.0  # that a failing server may cost all stages together


@contextmanager
def listening(handle: type[socketserver.BaseRequestHandler]) -> Iterator[tuple[str, socketserver.ThreadingTCPServer]]:
    """A server on the loopback, and its address as a tracking URI."""
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", server
        server.shutdown()


class Silent(socketserver.BaseRequestHandler):
    """Accepts, reads, and never answers."""

    seen: ClassVar[list[float]] = []

    def handle(self) -> None:
        self.seen.append(time.monotonic())
        while self.request.recv(65536):
            pass


class Broken(socketserver.BaseRequestHandler):
    """Answers every request with a 500."""

    seen: ClassVar[list[float]] = []

    def handle(self) -> None:
        self.seen.append(time.monotonic())
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def run_stages(*names: str) -> None:
    params = load_params()
    for name in names:
        with tracking.stage(name, params) as record:
            record.metrics["pairs"] = 5
            record.artifacts = [report(f"reports/{name}/metrics.json", name)]


def runs(uri: str) -> tuple[list[Run], dict[str, Run]]:
    client = mlflow.MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(load_params().run.experiment).experiment_id])
    parents = [run for run in found if run.data.tags["pipeline.kind"] == "pipeline"]
    stages = [run for run in found if run not in parents]
    assert len({run.info.run_name for run in stages}) == len(stages)
    return parents, {run.info.run_name: run for run in stages}


def assert_complete(uri: str) -> None:
    """One parent run, closed, with one finished run a stage, each with its metrics and its file."""
    [parent], stages = runs(uri)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["model.name"] == "embedded"
    assert sorted(stages) == sorted(STAGES)
    client = mlflow.MlflowClient(uri)
    for name, run in stages.items():
        assert (run.info.status, run.data.metrics) == ("FINISHED", {metric_name(name, "pairs"): 5})
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert Path(client.download_artifacts(run.info.run_id, f"{name}/metrics.json")).read_text() == name


def file_under(experiment: str) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("experiment: head-analysis", f"experiment: {experiment}"))


def fill_in(monkeypatch: pytest.MonkeyPatch, uri: str | None) -> None:
    """A later execution with nothing to do, after DVC removed the files of the stages."""
    shutil.rmtree("reports")
    if uri is None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("PIPELINE_RUN_KEY", "later")
    utils._artifact_repos_cache.clear()  # by run, whatever the server; a later execution is another process
    with tracking.stage("publish", load_params()):
        pass


@pytest.mark.parametrize("server", [Silent, Broken])
def test_a_server_that_fails_is_asked_once_for_all_stages(project, server, monkeypatch, capsys):
    file_under("servers")
    with listening(server) as (uri, _):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")  # the default's 5 s would be spent twice
        began = time.monotonic()
        run_stages(*STAGES)
        assert time.monotonic() - began < SECONDS
    assert 1 <= len(server.seen) <= 2, "the first call and its one retry"
    assert capsys.readouterr().err.count("does not answer") == 1
    fill_in(monkeypatch, None)
    assert_complete(f"sqlite:///{project}/mlflow.db")


@pytest.mark.parametrize("requests", [3, 16])
def test_a_server_dying_half_way_gets_the_rest_when_it_is_back(project, real_server, requests, monkeypatch, capsys):
    file_under(f"dying after {requests}")
    began = time.monotonic()
    with listening(door_to(real_server, requests)) as (uri, _):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        run_stages(*STAGES)
    assert time.monotonic() - began < SECONDS
    assert capsys.readouterr().err.count("does not answer") == 1
    back = f"http://127.0.0.1:{real_server}"
    fill_in(monkeypatch, back)
    assert_complete(back)


def door_to(port: int, requests: int) -> type[socketserver.BaseRequestHandler]:
    """Hands connections on to the port, and closes them all for good at the given request."""
    left = threading.Semaphore(requests)

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as behind:
                threading.Thread(target=pump, args=(behind, self.request), daemon=True).start()
                while data := self.request.recv(65536):
                    for _ in range(data.count(b"HTTP/1.1\r\n")):
                        if not left.acquire(blocking=False):
                            return
                    behind.sendall(data)

    return Door


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
