"""A stage's process among others: it ends with the dvc that started it, and no second one runs its stage beside it."""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import psutil
from filelock import FileLock, Timeout

from pipeline import paths
from pipeline.errors import InputError

ORPHANS_TAKER = 1  # the process that inherits those whose parent ended
WAIT = 10.0  # seconds that a process which is being killed may hold its stage


def nearest_dvc() -> psutil.Process | None:
    """The dvc below which this process runs."""
    with suppress(psutil.Error):  # an ancestor may end meanwhile, or be another user's
        return next((ancestor for ancestor in psutil.Process().parents() if _is_dvc(ancestor)), None)
    return None


def _is_dvc(process: psutil.Process) -> bool:
    return any(Path(word).name in ("dvc", "dvc.exe") for word in process.cmdline()[:3])


def end_with_dvc() -> None:
    """Kill this process as soon as the dvc that started it is gone, however that ended.

    It would live on and write beside the next run's stage, and dvc.lock would accept the mixture.
    """
    dvc = nearest_dvc()
    if dvc is None:
        if "DVC_STAGE" in os.environ and os.getppid() == ORPHANS_TAKER:
            sys.exit("the dvc that started this stage is gone")
        return
    try:
        ended = os.pidfd_open(dvc.pid)
    except ProcessLookupError:
        _end()
    else:
        Thread(target=_end_after, args=(ended,), name="end with dvc", daemon=True).start()


def _end_after(process: int) -> None:
    select.select([process], [], [])
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def raise_on_sigterm() -> None:
    """Have SIGTERM end this process as an exception does, so that what is open is closed."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def alone(stage: str) -> Iterator[None]:
    """Hold the stage in this folder. Raises InputError where another process does not let go of it."""
    file = paths.CACHE / "locks" / f"{stage}.lock"
    lock = FileLock(file, timeout=WAIT)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"another process runs {stage} in this folder (it holds {file}); wait for it, or end it"
        ) from None
    except OSError as error:
        raise InputError(
            f"{file} cannot be made: {error.strerror}; stages run alone by that lock, mend the path"
        ) from None
    with lock:
        yield
