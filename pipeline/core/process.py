"""Process control of a stage: it ends with the dvc that started it, runs once at a time, and starts fast."""

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from threading import Thread

import psutil
from filelock import FileLock, Timeout

from pipeline.core import paths
from pipeline.core.atomic import make_folder
from pipeline.core.errors import InputError

ORPHAN_ADOPTERS = ("init", "systemd", "launchd", "tini", "dumb-init")  # they inherit those whose parent ended
POLL_SECONDS = 0.2  # seconds between two looks whether dvc is still there
FOR_GROUP = 0o666  # mode of a lock's file, less the umask: a clone may serve several users of a group
LOCK_TIMEOUT = 10.0  # seconds that a process which is being killed may hold its stage


def nearest_dvc() -> psutil.Process | None:
    """The dvc process that is an ancestor of this one."""
    with suppress(psutil.Error):  # an ancestor may end meanwhile, or be another user's
        return next((ancestor for ancestor in psutil.Process().parents() if _is_dvc(ancestor)), None)
    return None


def _is_dvc(process: psutil.Process) -> bool:
    """Whether the process is dvc: a program or script of this name, or the module."""
    words = process.cmdline()
    return any(Path(word).name == "dvc" for word in words[:2]) or ("-m", "dvc") in pairwise(words)


def end_with_dvc() -> None:
    """Kill this process as soon as the dvc that started it is gone, however that ended.

    It would live on and write at the same time as the next run's stage, and dvc.lock would accept the mixture.
    """
    dvc = nearest_dvc()
    if dvc is None:
        if "DVC_STAGE" in os.environ and _is_orphan():
            sys.exit("the dvc that started this stage is gone")
        return
    Thread(target=_kill_after, args=(dvc,), name="end with dvc", daemon=True).start()


def _is_orphan() -> bool:
    parent = psutil.Process().parent()
    return parent is None or parent.pid == 1 or parent.name() in ORPHAN_ADOPTERS


def _kill_after(dvc: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def raise_on_sigterm() -> None:
    """Turn SIGTERM into an exception, so that what is open is closed."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def stage_lock(stage: str) -> Iterator[None]:
    """Hold the stage in this folder. Raises InputError where another process keeps it, or the disk refuses a lock."""
    file = paths.CACHE / "locks" / f"{stage}.lock"
    lock = FileLock(file, timeout=LOCK_TIMEOUT, mode=FOR_GROUP)
    make_folder(file.parent)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"another process runs {stage} in this folder (it holds {file}); wait for it, or end it"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the collection of cyclic garbage during imports, and leave what they made out of it for good.

    They make hundreds of thousands of objects, hardly any of them garbage, which every collection would walk.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
