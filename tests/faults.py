"""Ways to make the disk refuse, and the command line as it is run, without its record."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from pipeline import __main__, tracking
from pipeline.tracking import Record


def command(monkeypatch: pytest.MonkeyPatch, stage: str) -> int:
    """`python -m pipeline STAGE` in this process, untracked: its exit code."""
    monkeypatch.setattr(sys, "argv", ["pipeline", stage])
    monkeypatch.setattr(tracking, "stage", lambda name, params: nullcontext(Record()))
    return __main__.main()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """A small file system of its own at `folder`, where the system allows that; yields whether it does."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remounted_read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def in_child(task: Callable[[], None], largest: int) -> str:
    """What `task` raised, as text, in a forked process whose files the system cuts at `largest` bytes."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        said = "nothing"
        try:
            task()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said
