"""Outbox for MLflow: a run is written to disk before it is sent, and the next execution sends what is left."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.core import paths
from pipeline.tracking import mlflow_writer
from pipeline.tracking.execution import Execution, tracking_folder, write_state
from pipeline.tracking.mlflow_client import brief, is_unreachable
from pipeline.tracking.run_record import RunRecord

RUN_FILE = "row.json"  # written last: an entry without it is unfinished
LOCK_FILE = "lock"  # the system unlocks it when its process ends, however that ends
COPY_SECONDS = 60.0  # age from which an unlocked, unfinished entry is the remains of a killed process


@contextmanager
def enqueue(run: RunRecord, base: Path) -> Iterator[Path]:
    """Enqueue a run whose files lie below `base`; no other process sends it before the block ends."""
    folder = _outbox_folder() / f"{time.time_ns():020d}-{run.id}"
    folder.mkdir(parents=True)
    with FileLock(folder / LOCK_FILE, timeout=COPY_SECONDS):
        try:
            for file in run.files():
                _copy(base / file, folder / "files" / file)
            write_state(folder / RUN_FILE, asdict(run))
        except BaseException:
            shutil.rmtree(folder)
            raise
        yield folder


def pending() -> Iterator[tuple[RunRecord, Path]]:
    """Pending runs that no living process is sending, with their folders, oldest first, each locked meanwhile."""
    for folder in sorted(_outbox_folder().glob("*")):
        # Passed over: what is locked (Timeout is an OSError), sent meanwhile or damaged.
        with suppress(OSError, ValueError, TypeError), FileLock(folder / LOCK_FILE, timeout=0):
            if (folder / RUN_FILE).exists():
                yield RunRecord(**json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))), folder
            elif time.time() - folder.stat().st_mtime > COPY_SECONDS:
                shutil.rmtree(folder)


def is_queued(run_id: str) -> bool:
    return any(_outbox_folder().glob(f"*-{run_id}"))


def _outbox_folder() -> Path:
    return tracking_folder() / "spool"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def deliver(execution: Execution, run: RunRecord) -> bool:
    """Deliver the run, or leave it for the next execution. Returns whether it was sent or is on disk."""
    with never_fail(), enqueue(run, Path.cwd()) as folder:
        if not execution.is_offline:
            _send(execution, run, folder)
        return True
    return False


def flush(execution: Execution) -> None:
    """Send the runs that earlier executions left, oldest first, until MLflow does not answer."""
    for run, folder in pending():
        if execution.is_offline:
            return
        _send(execution, run, folder)


def _send(execution: Execution, run: RunRecord, folder: Path) -> None:
    place = f"{paths.TRACKING}/spool/"
    try:
        mlflow_writer.write_run(run, (folder / "files").resolve())
    except Exception as error:
        if not is_unreachable(error):
            print_notice(f"MLflow refused the run {run.name}, which stays below {place}: {brief(error)}")
        elif not execution.is_offline:
            execution.go_offline()
            print_notice(f"MLflow does not answer; records wait below {place} for the next run: {brief(error)}")
    else:
        shutil.rmtree(folder)


def print_notice(message: str) -> None:
    print(f"tracking: {message}", file=sys.stderr, flush=True)


@contextmanager
def never_fail() -> Iterator[None]:
    """Print errors instead of raising them: tracking must not fail the pipeline."""
    try:
        yield
    except Timeout:
        pass  # another process does the same
    except Exception as error:
        print_notice(brief(error))
