"""Rows into MLflow: at once, or later where it does not answer. Nothing here ever raises."""

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
from pipeline.tracking.spool import Entry


def deliver(execution: Execution, row: Row) -> bool:
    """Send the row, or leave it for the next execution. Whether it is in safety, here or there."""
    with never_failing(), spool.keeping(row, Path.cwd()) as entry:
        if not execution.is_offline:
            _send(execution, entry)
        return True
    return False


def catch_up(execution: Execution) -> None:
    """Send what earlier executions had to leave, oldest first, until MLflow does not answer."""
    with never_failing(), alone("catch_up"):  # two at once would take a row's entries out of their order
        for entry in spool.waiting():
            if execution.is_offline:
                return
            _send(execution, entry)


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
        say(brief(error))


@contextmanager
def alone(task: str) -> Iterator[None]:
    """Raises filelock.Timeout at once where another process does the same task."""
    state().mkdir(parents=True, exist_ok=True)
    with FileLock(state() / f"{task}.lock", timeout=0):
        yield


def _send(execution: Execution, entry: Entry) -> None:
    try:
        store.write(entry.row, entry.base)
    except Exception as error:
        if not connection.is_unreachable(error):
            say(f"{entry.row.name} was refused and stays below {paths.TRACKING}/spool/: {brief(error)}")
        elif execution.go_offline():
            say(f"MLflow does not answer; records wait below {paths.TRACKING}/spool/ for the next run: {brief(error)}")
    else:
        entry.drop()


def brief(error: Exception) -> str:
    """The first line, without the password an address may carry."""
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return re.sub(r"//[^/@\s]*@", "//", line)[:200]
