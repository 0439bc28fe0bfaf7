"""The outbox of MLflow: a run is kept on disk before it is sent, and what was not delivered is sent by the next one."""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.core import paths
from pipeline.tracking import mlflow_writer
from pipeline.tracking.execution import Execution, tracking_folder, write_state
from pipeline.tracking.mlflow_client import brief, is_unreachable
from pipeline.tracking.run_record import RunRecord

ROW = "row.json"
UNFINISHED = ".unfinished-"
COPYING = 60.0  # seconds after which an unlocked, unfinished entry is nobody's


@dataclass(frozen=True)
class OutboxEntry:
    row: RunRecord
    folder: Path

    @property
    def base(self) -> Path:
        """The folder that the row's files lie below."""
        return (self.folder / "files").resolve()

    def drop(self) -> None:
        shutil.rmtree(self.folder)


@contextmanager
def enqueue(row: RunRecord, base: Path) -> Iterator[OutboxEntry]:
    """Keep a row whose files lie below `base`; nobody else takes it up before the block ends."""
    name = f"{time.time_ns():020d}-{row.id}"
    unfinished, folder = _outbox_folder() / f"{UNFINISHED}{name}", _outbox_folder() / name
    unfinished.mkdir(parents=True)
    with _locked_entry(unfinished):
        try:
            for file in row.files():
                _copy(base / file, unfinished / "files" / file)
            write_state(unfinished / ROW, asdict(row))
        except BaseException:
            shutil.rmtree(unfinished)
            raise
        unfinished.rename(folder)
        yield OutboxEntry(row, folder)


def pending() -> Iterator[OutboxEntry]:
    """What no living process is sending, oldest first, each held until the next is asked for."""
    for folder in sorted(_outbox_folder().glob("*")):
        with _locked_entry(folder) as is_mine:
            if not is_mine:
                continue
            if folder.name.startswith(UNFINISHED):
                _drop_abandoned(folder)
                continue
            with suppress(ValueError, TypeError, FileNotFoundError):  # what is damaged holds up no other
                yield OutboxEntry(RunRecord(**json.loads((folder / ROW).read_text(encoding="utf-8"))), folder)


def _drop_abandoned(folder: Path) -> None:
    """Its process was killed while it copied, unless it was only made and not locked yet."""
    if time.time() - folder.stat().st_mtime > COPYING:
        shutil.rmtree(folder)


@contextmanager
def _locked_entry(folder: Path) -> Iterator[bool]:
    """Whether the folder is there and was free; the lock goes with the process, whatever ends it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(descriptor) and folder.exists()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _outbox_folder() -> Path:
    return tracking_folder() / "spool"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def deliver(execution: Execution, row: RunRecord) -> bool:
    """Send the row, or leave it for the next execution. Whether it is in safety, here or there."""
    with never_fail(), enqueue(row, Path.cwd()) as entry:
        if not execution.is_offline:
            _send(execution, entry)
        return True
    return False


def flush(execution: Execution) -> None:
    """Send what earlier executions had to leave, oldest first, until MLflow does not answer."""
    with never_fail(), exclusively("catch_up"):  # two at once would take a row's entries out of their order
        for entry in pending():
            if execution.is_offline:
                return
            _send(execution, entry)


def print_notice(message: str) -> None:
    print(f"tracking: {message}", file=sys.stderr, flush=True)


@contextmanager
def never_fail() -> Iterator[None]:
    """A pipeline's results are worth more than its record: what goes wrong here is told, and no more."""
    try:
        yield
    except Timeout:
        pass  # another process is at it
    except Exception as error:
        print_notice(brief(error))


@contextmanager
def exclusively(task: str) -> Iterator[None]:
    """Raises filelock.Timeout at once where another process does the same task."""
    tracking_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(tracking_folder() / f"{task}.lock", timeout=0):
        yield


def _send(execution: Execution, entry: OutboxEntry) -> None:
    try:
        mlflow_writer.write_run(entry.row, entry.base)
    except Exception as error:
        if not is_unreachable(error):
            print_notice(f"{entry.row.name} was refused and stays below {paths.TRACKING}/spool/: {brief(error)}")
        elif execution.go_offline():
            print_notice(
                f"MLflow does not answer; records wait below {paths.TRACKING}/spool/ for the next run: {brief(error)}"
            )
    else:
        entry.drop()
