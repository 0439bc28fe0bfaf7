"""Execution of the pipeline over several processes: its owner, and notes on the stages that ran."""

import json
import os
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from pipeline.core import paths
from pipeline.core.atomic import replace_atomically
from pipeline.core.process import FOR_GROUP, nearest_dvc

ABOUT = "execution.json"
OFFLINE = "offline"  # the mark that MLflow did not answer
CLOCK_SLACK = 2.0  # seconds by which a process's start time may read differently


def project_root() -> Path:
    """Root of the original project, where tracking files are: DVC runs experiments in copies of the project."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def tracking_folder() -> Path:
    return project_root() / paths.TRACKING


@dataclass(frozen=True)
class Execution:
    """`pid` and `created` name the process that runs the stages; `folder` holds one note a stage, and marks."""

    key: str
    pid: int
    created: float

    @property
    def id(self) -> str:
        return sha256(self.key.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        return tracking_folder() / "executions" / self.id

    def mark(self, name: str) -> bool:
        """Mark something for later stages; returns whether no stage had marked it before."""
        file = self.folder / "marks" / name
        is_new = not file.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        return is_new

    def is_marked(self, name: str) -> bool:
        return (self.folder / "marks" / name).exists()

    @property
    def is_offline(self) -> bool:
        """Whether MLflow did not answer a stage of this execution."""
        return self.is_marked(OFFLINE)

    @property
    def is_introduced(self) -> bool:
        return (self.folder / ABOUT).exists()

    def introduce(self, experiment: str, start: int) -> None:
        """Note the owner and workspace for later executions."""
        owner = {"key": self.key, "pid": self.pid, "created": self.created}
        about = {"owner": owner, "workspace": str(Path.cwd()), "experiment": experiment, "start": start}
        write_state(self.folder / ABOUT, about)

    def about(self) -> dict[str, Any]:
        return json.loads((self.folder / ABOUT).read_text(encoding="utf-8"))

    def note(self, stage: str, **values: Any) -> None:
        write_state(self.folder / "stages" / f"{stage}.json", values)

    def notes(self) -> dict[str, dict[str, Any]]:
        """Notes by stage, of those that ran in this execution."""
        notes = {}
        for path in sorted((self.folder / "stages").glob("*.json")):
            with suppress(ValueError):  # a damaged note is none
                notes[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        return notes

    def is_running(self) -> bool:
        try:
            return abs(psutil.Process(self.pid).create_time() - self.created) < CLOCK_SLACK
        except psutil.NoSuchProcess:
            return False

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def current() -> Execution:
    """Execution of this process, by PIPELINE_RUN_KEY, else by the process that runs its stages."""
    key = os.environ.get("PIPELINE_RUN_KEY")
    process = psutil.Process()
    owner = nearest_dvc() or (process.parent() if key else None) or process
    created = owner.create_time()
    return Execution(key or f"{socket.gethostname()}-{owner.pid}-{created:.2f}", owner.pid, created)


def others(mine: Execution) -> list[Execution]:
    """Other executions that left notes: running at the same time, or ended without publishing."""
    executions = []
    for path in sorted((tracking_folder() / "executions").glob(f"*/{ABOUT}")):
        with suppress(ValueError, KeyError, TypeError, FileNotFoundError):  # damaged, or closed meanwhile
            executions.append(Execution(**json.loads(path.read_text(encoding="utf-8"))["owner"]))
    return [execution for execution in executions if execution.id != mine.id]


def tracking_lock(task: str, timeout: float) -> FileLock:
    """Lock between processes; raises filelock.Timeout after `timeout` seconds of waiting for it."""
    tracking_folder().mkdir(parents=True, exist_ok=True)
    return FileLock(tracking_folder() / f"{task}.lock", timeout=timeout, mode=FOR_GROUP)


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def write_state(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON state file atomically."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(values), encoding="utf-8")
