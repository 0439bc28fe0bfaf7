"""Runs as prune sees them, and their removal for good: files, logged models, registered versions, database rows."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cleanup.retention import Plan, Run, plan
from pipeline.core.errors import InputError
from pipeline.tracking.api import markers
from pipeline.tracking.execution import current, others, project_root, tracking_folder
from pipeline.tracking.mlflow_writer import ROW_TAG
from pipeline.tracking.model_registry import model_name
from pipeline.tracking.run_record import PUBLISHED_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

KINDS = ("pipeline", "stage")
OPEN = ("RUNNING", "SCHEDULED")


class Removal:
    """One experiment's runs. Relative artifact places are below the working directory, as for every client of MLflow.

    A removal that is cut off half way is completed by the next one: a run goes last, after all that is its own.
    """

    def __init__(self, client: "MlflowClient", experiment: str, experiment_id: str):
        self.client = client
        self.model = model_name(experiment)
        runs = _pages(lambda token: client.search_runs([experiment_id], page_token=token))
        self.found = {run.info.run_id: run for run in runs if run.data.tags.get("pipeline.kind") in KINDS}
        self.models = list(_pages(lambda token: client.search_logged_models([experiment_id], page_token=token)))
        self.versions = list(_pages(lambda token: client.search_model_versions(page_token=token)))

    def runs(self, running: set[str]) -> list[Run]:
        """All rows and stages' runs; `running` holds the row ids of executions that have not ended."""
        return [_as_run(run, running) for run in self.found.values()]

    def protected(self) -> set[str]:
        """Runs whose model somebody named: by an alias, or as a version of another registered model."""
        registered = _pages(lambda token: self.client.search_registered_models(page_token=token))
        named = {(model.name, str(version)) for model in registered for version in model.aliases.values()}
        chosen = [
            known for known in self.versions if known.name != self.model or (known.name, str(known.version)) in named
        ]
        return {version.run_id for version in chosen if version.run_id}

    def row_ids(self, runs: Iterable[Run]) -> set[str]:
        """The ids by which the project itself knows them."""
        return {self.found[run.id].data.tags.get(ROW_TAG, "") for run in runs}

    def size(self, runs: Iterable[Run]) -> int:
        """Bytes of the runs' artifacts and models on this machine's disk."""
        folders = [folder for run in runs for place in self._places(run.id) if (folder := _local(place))]
        return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())

    def remove(self, run: Run) -> None:
        for version in self.versions:
            if version.run_id == run.id and version.name == self.model:
                self.client.delete_model_version(self.model, str(version.version))
        if self.frees_disk:
            self._remove_for_good(run.id)
            return
        for model in self._models(run.id):
            self.client.delete_logged_model(model.model_id)
        self.client.delete_run(run.id)

    def unlink(self, row: Run, removed: set[str]) -> None:
        """Take the names of removed runs from a row that stays."""
        for name, value in self.found[row.id].data.tags.items():
            if name.startswith("stage.") and name.endswith(".run_id") and value in removed:
                self.client.delete_tag(row.id, name)

    @property
    def frees_disk(self) -> bool:
        """Whether the database is at hand; a server keeps what is deleted until `mlflow gc` runs beside it."""
        return hasattr(self.client._tracking_client.store, "_hard_delete_run")

    def _remove_for_good(self, run_id: str) -> None:
        """What `mlflow gc` does, for this run alone: gc would also take what the user deleted and may want back."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        store = self.client._tracking_client.store
        for place in self._places(run_id):
            get_artifact_repository(place).delete_artifacts()
            if folder := _local(place):
                with contextlib.suppress(OSError):  # never made, or something else lies there
                    folder.parent.rmdir()
        for model in self._models(run_id):
            store._hard_delete_logged_model(model.model_id)
        store._hard_delete_run(run_id)

    def _places(self, run_id: str) -> list[str]:
        return [self.found[run_id].info.artifact_uri, *(model.artifact_location for model in self._models(run_id))]

    def _models(self, run_id: str) -> list[Any]:
        return [model for model in self.models if model.source_run_id == run_id]


def _as_run(run: "MlflowRun", running: set[str]) -> Run:
    tags = run.data.tags
    return Run(
        run.info.run_id,
        run.info.run_name or "",
        tags.get("mlflow.parentRunId"),
        run.info.start_time,
        is_published=run.info.status == "FINISHED" and tags.get(PUBLISHED_TAG) == "true",
        is_busy=run.info.status in OPEN or tags.get(ROW_TAG) in running,
        links=frozenset(v for name, v in tags.items() if name.startswith("stage.") and name.endswith(".run_id")),
    )


def _pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def _local(place: str) -> Path | None:
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(place)) if is_local_uri(place) else None


DVC_GC = ("gc", "--workspace", "--all-branches", "--all-tags", "--all-experiments", "--force")


@dataclass(frozen=True)
class Cleanup:
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


def prepare_cleanup(client: "MlflowClient", experiment: str, keep: int) -> Cleanup | None:
    """What pruning an experiment to its newest `keep` published rows would remove; None where it has no row.

    Removes nothing. `client` comes from `mlflow_reader.open_client`, whose folder artifact locations are relative to.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return None
    removal = Removal(client, experiment, found.experiment_id)
    running = {execution.id for execution in others(current()) if execution.is_running()}
    planned = plan(removal.runs(running), keep, removal.protected())
    removed = removal.row_ids(_rows(planned.removed))
    stale = [path for path, row in markers().items() if row in removed or not _is_known(client, row)]
    return Cleanup(removal, planned, stale)


def is_running() -> bool:
    """Whether an execution may still need what DVC's cache holds: one in a copy of the project has its own dvc.lock."""
    return any(execution.is_running() for execution in others(current()))


def collect_cache(*options: str) -> int:
    """How many objects `dvc gc` removed from the cache, or would with ``--dry``.

    Raises:
        InputError: dvc refuses, with its own message.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *DVC_GC, *options], capture_output=True, text=True, cwd=project_root()
    )
    if done.returncode:
        raise InputError(f"dvc gc failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
    return sum(int(count) for count in re.findall(r"Removed (\d+) objects", done.stdout + done.stderr))


def _is_known(client: "MlflowClient", row: str) -> bool:
    """Whether the row is in MLflow, in whatever experiment, or waits for it."""
    if any((tracking_folder() / "spool").glob(f"*{row}")):
        return True
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return bool(client.search_runs(experiments, f"tags.`{ROW_TAG}` = '{row}'", max_results=1))


def _rows(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.parent is None]


def _line(row: Run) -> str:
    return f"{datetime.fromtimestamp(row.start / 1000):%Y-%m-%d %H:%M}  {row.name}  {row.id}"
