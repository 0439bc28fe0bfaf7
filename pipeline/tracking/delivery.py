"""Rows on their way to MLflow: at once, or by the spool where it does not answer. Nothing here ever raises."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline import paths
from pipeline.tracking import connection, spool, store
from pipeline.tracking.execution import Execution, state
from pipeline.tracking.record import Row


def deliver(execution: Execution, row: Row) -> None:
    """Write the row, or keep it for the next execution."""
    with never_failing():
        if execution.is_offline or not _is_written(execution, row, Path.cwd()):
            spool.keep(row, Path.cwd())


def catch_up(execution: Execution) -> None:
    """Write what earlier executions had to keep, oldest first, until MLflow does not answer."""
    with never_failing():
        if spool.is_empty():
            return
        with alone("spool"):
            for row, base, folder in spool.kept():
                if execution.is_offline:
                    return
                if _is_written(execution, row, base):
                    spool.drop(folder)


def say(message: str) -> None:
    print(f"tracking: {message}", file=sys.stderr, flush=True)


@contextmanager
def never_failing() -> Iterator[None]:
    """A pipeline's results are worth more than its record: what goes wrong here is told, and no more."""
    try:
        yield
    except Timeout:
        pass  # another process is at it
    except Exception as error:
        say(_brief(error))


@contextmanager
def alone(task: str) -> Iterator[None]:
    """Raises filelock.Timeout at once where another process does the same task."""
    state().mkdir(parents=True, exist_ok=True)
    with FileLock(state() / f"{task}.lock", timeout=0):
        yield


def _is_written(execution: Execution, row: Row, base: Path) -> bool:
    try:
        store.write(row, base.resolve())
    except Exception as error:
        if not connection.is_unreachable(error):
            say(f"{row.name} was refused and stays below {paths.TRACKING}/spool/: {_brief(error)}")
        elif execution.go_offline():
            say(f"MLflow does not answer; records wait below {paths.TRACKING}/spool/ for the next run: {_brief(error)}")
        return False
    return True


def _brief(error: Exception) -> str:
    """The first line, without the password an address may carry."""
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return re.sub(r"//[^/@\s]*@", "//", line)[:200]
