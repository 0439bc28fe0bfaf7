"""Runs as prune sees them, and their removal for good: files, logged models, registered versions, database rows."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.record import PUBLISHED_TAG
from pipeline.tracking.registry import model_name
from pipeline.tracking.retention import Run
from pipeline.tracking.store import ROW_TAG

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
        return [_plain(run, running) for run in self.found.values()]

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


def _plain(run: "MlflowRun", running: set[str]) -> Run:
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
