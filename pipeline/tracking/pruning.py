"""What the newest rows do not need: older runs, marks of states whose row is gone, outputs cached by DVC."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.tracking.execution import current, others, root, state
from pipeline.tracking.publication import markers
from pipeline.tracking.removal import Removal
from pipeline.tracking.retention import Plan, Run, plan
from pipeline.tracking.store import ROW_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

DVC_GC = ("gc", "--workspace", "--all-branches", "--all-tags", "--all-experiments", "--force")


@dataclass(frozen=True)
class Pruning:
    """What goes. markers: files that say that a state is published whose row goes or has gone."""

    removal: Removal
    plan: Plan
    markers: list[Path]

    def describe(self) -> Iterator[str]:
        """Lines for the user to read before anything goes."""
        rows = _rows(self.plan.removed)
        size = self.removal.size(self.plan.removed) / 2**20
        stages = len(self.plan.removed) - len(rows)
        yield f"newest published rows that stay: {len(self.plan.kept)}"
        yield f"rows that go: {len(rows)}, with {stages} runs of stages, {size:.1f} MiB"
        yield from (f"  goes: {_line(row)}" for row in rows)
        yield from (f"  stays, for a run that a newer row or an alias needs: {_line(row)}" for row in self.plan.shared)
        yield f"marks of published states that go: {len(self.markers)}"

    def carry_out(self) -> None:
        gone = {run.id for run in self.plan.removed}
        for run in self.plan.removed:
            self.removal.remove(run)
        for row in self.plan.shared:
            self.removal.unlink(row, gone)
        for marker in self.markers:
            marker.unlink(missing_ok=True)


def prepare(client: "MlflowClient", experiment: str, keep: int) -> Pruning | None:
    """What pruning an experiment to its newest `keep` published rows would remove; None where it has no row.

    Removes nothing. `client` comes from `reading.opened`, whose folder the artifacts' places are relative to.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return None
    removal = Removal(client, experiment, found.experiment_id)
    running = {execution.id for execution in others(current()) if execution.is_running()}
    planned = plan(removal.runs(running), keep, removal.protected())
    removed = removal.row_ids(_rows(planned.removed))
    stale = [path for path, row in markers().items() if row in removed or not _is_known(client, row)]
    return Pruning(removal, planned, stale)


def is_running() -> bool:
    """Whether an execution may still need what DVC's cache holds: one in a copy of the project has its own dvc.lock."""
    return any(execution.is_running() for execution in others(current()))


def collect_cache(*options: str) -> int:
    """How many objects `dvc gc` removed from the cache, or would with ``--dry``.

    Raises:
        InputError: dvc refuses, with its own message.
    """
    done = subprocess.run([sys.executable, "-m", "dvc", *DVC_GC, *options], capture_output=True, text=True, cwd=root())
    if done.returncode:
        raise InputError(f"dvc gc failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
    return sum(int(count) for count in re.findall(r"Removed (\d+) objects", done.stdout + done.stderr))


def _is_known(client: "MlflowClient", row: str) -> bool:
    """Whether the row is in MLflow, in whatever experiment, or waits for it."""
    if any((state() / "spool").glob(f"*{row}")):
        return True
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return bool(client.search_runs(experiments, f"tags.`{ROW_TAG}` = '{row}'", max_results=1))


def _rows(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.parent is None]


def _line(row: Run) -> str:
    return f"{datetime.fromtimestamp(row.start / 1000):%Y-%m-%d %H:%M}  {row.name}  {row.id}"
