"""Outbox for MLflow: a run is written to disk before it is sent, and the next execution sends what is left."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.core import paths
from pipeline.core.process import FOR_GROUP
from pipeline.tracking import mlflow_writer
from pipeline.tracking.execution import OFFLINE, Execution, tracking_folder, write_state
from pipeline.tracking.mlflow_client import brief, is_remote, is_unreachable
from pipeline.tracking.parts import KINDS, PartsRefused
from pipeline.tracking.run_record import RunRecord

RUN_FILE = "row.json"  # written last: an entry without it is unfinished
LOCK_FILE = "lock"  # the system unlocks it when its process ends, however that ends
PLACE = f"{paths.TRACKING}/spool"  # as messages name it
MAX_BYTES = 2 * 2**30  # of all that waits, beyond which files are dropped
COPY_SECONDS = 60.0  # age from which an unlocked, unfinished entry is the remains of a killed process


@contextmanager
def enqueue(run: RunRecord, base: Path) -> Iterator[Path]:
    """Enqueue a run whose files lie below `base`; no other process sends it before the block ends."""
    folder = _outbox_folder() / f"{time.time_ns():020d}-{run.id}"
    folder.mkdir(parents=True)
    with FileLock(folder / LOCK_FILE, timeout=COPY_SECONDS, mode=FOR_GROUP):
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
        with suppress(OSError, ValueError, TypeError), FileLock(folder / LOCK_FILE, timeout=0, mode=FOR_GROUP):
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
    """Send the runs that earlier executions left, oldest first, until MLflow does not answer; keep them in bounds."""
    for run, folder in pending():
        if execution.is_offline:
            break
        _send(execution, run, folder)
    _drop_files()


def _send(execution: Execution, run: RunRecord, folder: Path) -> None:
    given_up = {kind for kind in KINDS if execution.is_marked(_given_up(kind))}
    try:
        mlflow_writer.write_run(run, (folder / "files").resolve(), given_up)
    except PartsRefused as refused:
        for kind in refused.given_up:
            execution.mark(_given_up(kind))
        _keep_rest(folder, run, refused.left)
        for refusal in refused.refusals:
            if execution.mark(refusal.cause):  # one notice an execution
                waits = f". Such parts wait below {PLACE}/ for the next run" if refused.left else ""
                print_notice(f"{refusal.describe(run.name)}{waits}")
    except Exception as error:
        if not is_unreachable(error):
            if execution.mark(f"refused run {sha256(brief(error).encode()).hexdigest()[:12]}"):
                print_notice(f"MLflow refused the run {run.name}, which waits below {PLACE}/: {brief(error)}")
        elif execution.mark(OFFLINE):
            what = "MLflow does not answer" if is_remote() else "MLflow's database cannot be opened or written"
            print_notice(f"{what}; records wait below {PLACE}/ for the next run: {brief(error)}")
    else:
        shutil.rmtree(folder)


def _given_up(kind: str) -> str:
    return f"given up {kind}"


def _keep_rest(folder: Path, run: RunRecord, left: RunRecord | None) -> None:
    """Keep of an entry what was not sent; all of it goes where nothing is left."""
    if left is None:
        shutil.rmtree(folder)
        return
    write_state(folder / RUN_FILE, asdict(left))
    for name in set(run.files()) - set(left.files()):
        path = folder / "files" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _drop_files() -> None:
    """Drop files of the oldest entries where the outbox holds more than it may; their values stay."""
    size = _bytes_below(_outbox_folder())
    dropped = []
    for run, folder in pending():
        if size <= MAX_BYTES:
            break
        if run.files():
            size -= _bytes_below(folder / "files")
            _keep_rest(folder, run, replace(run, artifacts=[], dataset=[], model=None))
            dropped.append(run.name)
    if dropped:
        print_notice(
            f"what waits below {PLACE}/ took more than {MAX_BYTES / 2**30:g} GiB: the files of its oldest runs, "
            f"{', '.join(dropped)}, were dropped; their values still wait"
        )


def _bytes_below(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process sends it
            size += path.stat().st_size if path.is_file() else 0
    return size


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
