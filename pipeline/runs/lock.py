"""One rerun at a time: a lock that holds as long as any process lives that was given it, however the first ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


class LockHeld(Exception):
    """Another rerun, or the dvc that it left behind, holds the lock; the message names its pid."""


@dataclass(frozen=True)
class Lock:
    """`descriptor`: handed on to a child, it keeps the lock until that child ends too."""

    descriptor: int

    def sign(self, pid: int) -> None:
        """Write a holder down, for those that find the lock held."""
        os.write(self.descriptor, f"{pid}\n".encode())


@contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Hold the lock on the file at `path`.

    Raises:
        LockHeld: at once, where another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by pipeline.files: a file that is replaced is another file, and its lock another lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(f"another rerun is running ({_holder(path)}); this one leaves") from None
        os.ftruncate(descriptor, 0)
        lock = Lock(descriptor)
        lock.sign(os.getpid())
        yield lock
    finally:
        os.close(descriptor)  # never unlocked by hand: that would free it under a dvc that outlived this


def _holder(path: Path) -> str:
    """The first process that signed and lives: the rerun itself, or the dvc it started where it is gone."""
    signed = [int(line) for line in path.read_text(encoding="utf-8").split()]
    return next((f"pid {pid}" for pid in signed if _lives(pid)), "its pid is not written down yet")


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
