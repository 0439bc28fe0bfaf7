"""What `make ui` opens to others: nothing beyond the loopback."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.shell import REPOSITORY, environment

SECONDS = 120


@pytest.fixture
def ui(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """`make ui` in a folder of its own, so that it opens no database of ours."""
    shutil.copytree(REPOSITORY / "locks", tmp_path / "locks")
    (tmp_path / ".venv").symlink_to(REPOSITORY / ".venv")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["make", "--file", str(REPOSITORY / "Makefile"), "ui", f"PORT={port}"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), start_new_session=True)
    yield process, port
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listening(process: subprocess.Popen) -> set[tuple[str, int]]:
    """Addresses on which the process and all below it wait for connections."""
    top = psutil.Process(process.pid)
    found = set()
    for one in [top, *top.children(recursive=True)]:
        with suppress(psutil.Error):
            found |= {each.laddr for each in one.net_connections() if each.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.slow
def test_the_ui_listens_on_the_loopback_alone(ui):
    process, port = ui
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and ("127.0.0.1", port) not in {tuple(place) for place in listening(process)}:
        time.sleep(0.5)
    time.sleep(2)  # whatever else it opens
    found = {tuple(place) for place in listening(process)}
    assert ("127.0.0.1", port) in found
    assert {address for address, _ in found} == {"127.0.0.1"}
