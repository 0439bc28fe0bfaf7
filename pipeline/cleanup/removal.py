"""Permanent removal of old MLflow runs: files, models, registered versions, database rows, objects in DVC's cache."""

import contextlib
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cleanup.retention import LINK_TAG, Plan, Run, plan
from pipeline.core.errors import InputError
from pipeline.tracking.api import markers
from pipeline.tracking.execution import current, others, project_root
from pipeline.tracking.mlflow_writer import RECORD_ID_TAG
from pipeline.tracking.model_registry import REGISTRATIONS
from pipeline.tracking.outbox import is_queued
from pipeline.tracking.provenance import git

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities.model_registry import ModelVersion

MIB = 2**20


@dataclass(frozen=True)
class Cleanup:
    """Objects of an experiment to remove. The next removal completes an interrupted one: a run goes after its objects.

    runs, models, versions: all of the experiment, by the id of their run; versions of its own registered models only.
    markers: files that mark a state as published whose parent run goes or has gone.
    """

    client: "MlflowClient"
    runs: "dict[str, MlflowRun]"
    models: "defaultdict[str, list[LoggedModel]]"
    versions: "defaultdict[str, list[ModelVersion]]"
    plan: Plan
    markers: list[Path]

    def describe(self) -> Iterator[str]:
        """Describe the removal in lines for the user."""
        parents = _parents(self.plan.removed)
        stages = len(self.plan.removed) - len(parents)
        locations = [location for run in self.plan.removed for location in self._locations(run.id)]
        size = _size(file for location in locations if (folder := _local(location)) for file in folder.rglob("*"))
        yield f"published pipelines to keep: {len(self.plan.kept)}"
        yield f"pipelines to remove: {len(parents)}, with {stages} stage runs, {size}"
        yield from (f"  remove: {_line(run)}" for run in parents)
        yield from (f"  keep, needed by a newer run or an alias: {_line(run)}" for run in self.plan.shared)
        yield f"markers of published states to remove: {len(self.markers)}"
        if running_executions():
            yield "DVC's cache is left unchanged: a pipeline is running"
        elif _has_cache():
            unused = unused_objects()
            yield f"objects to remove from DVC's cache: {len(unused)}, {_size(unused)}"
            if unused and git("log", "--all", "-1", "--format=%H", "--", "*.dvc"):  # `dvc add` writes such files
                yield "  earlier versions of what you added with `dvc add` may be among them; `dvc push` keeps them"

    def carry_out(self) -> None:
        removed = {run.id for run in self.plan.removed}
        remove = self._remove_for_good if self.frees_disk else self._mark_as_deleted
        for run in self.plan.removed:
            for version in self.versions[run.id]:
                self.client.delete_model_version(version.name, str(version.version))
            remove(run.id)
        for run in self.plan.shared:
            for name, value in self.runs[run.id].data.tags.items():
                if LINK_TAG.fullmatch(name) and value in removed:
                    self.client.delete_tag(run.id, name)
        for marker in self.markers:
            marker.unlink(missing_ok=True)
        if _has_cache() and not running_executions():
            dvc_gc()

    @property
    def frees_disk(self) -> bool:
        """Whether the database is accessible; a server keeps what is deleted until `mlflow gc` runs there."""
        return hasattr(self.client._tracking_client.store, "_hard_delete_run")

    def _mark_as_deleted(self, run_id: str) -> None:
        for model in self.models[run_id]:
            self.client.delete_logged_model(model.model_id)
        self.client.delete_run(run_id)

    def _remove_for_good(self, run_id: str) -> None:
        """Remove the run like `mlflow gc`, which would also remove runs that the user deleted and may restore."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        store = self.client._tracking_client.store
        for location in self._locations(run_id):
            try:
                get_artifact_repository(location).delete_artifacts()
            except OSError as error:
                raise InputError(
                    f"{_local(location) or location} cannot be removed ({error}); remove it yourself, or give yourself "
                    "the right to, and start again: what is left goes then"
                ) from None
            if folder := _local(location):
                with contextlib.suppress(OSError):  # missing, or not empty
                    folder.parent.rmdir()
        for model in self.models[run_id]:
            store._hard_delete_logged_model(model.model_id)
        store._hard_delete_run(run_id)

    def _locations(self, run_id: str) -> list[str]:
        return [self.runs[run_id].info.artifact_uri, *(model.artifact_location for model in self.models[run_id])]


def prepare_cleanup(client: "MlflowClient", experiment: str, keep: int) -> Cleanup | None:
    """Plan the reduction of an experiment to its newest `keep` published pipelines; None where it has no run.

    Removes nothing. `client` comes from `mlflow_reader.open_client`, whose folder artifact locations are relative to.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return None
    ids = [found.experiment_id]
    runs = {run.info.run_id: run for run in _pages(lambda token: client.search_runs(ids, page_token=token))}
    runs = {id: run for id, run in runs.items() if run.data.tags.get("pipeline.kind") in ("pipeline", "stage")}
    models: defaultdict[str, list[LoggedModel]] = defaultdict(list)
    versions: defaultdict[str, list[ModelVersion]] = defaultdict(list)
    for model in _pages(lambda token: client.search_logged_models(ids, page_token=token)):
        models[model.source_run_id].append(model)
    registered = _pages(lambda token: client.search_registered_models(page_token=token))
    named = {(model.name, str(version)) for model in registered for version in model.aliases.values()}
    own = {registration.model_name(experiment) for registration in REGISTRATIONS.values()}
    protected = set()  # runs whose model is named by an alias, or as a version of another registered model
    for version in _pages(lambda token: client.search_model_versions(page_token=token)):
        if version.name in own:
            versions[version.run_id].append(version)
        if version.name not in own or (version.name, str(version.version)) in named:
            protected.add(version.run_id)
    running = running_executions()
    planned = plan([Run.from_mlflow(run, running) for run in runs.values()], keep, protected)
    removed = {runs[run.id].data.tags.get(RECORD_ID_TAG) for run in _parents(planned.removed)}
    stale = [path for path, id in markers().items() if id in removed or not _is_known(client, id)]
    return Cleanup(client, runs, models, versions, planned, stale)


def _pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def _is_known(client: "MlflowClient", id: str) -> bool:
    """Whether the run of this id is in MLflow, in any experiment, or in the outbox."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    where = f"tags.`{RECORD_ID_TAG}` = '{id}'"
    return is_queued(id) or bool(client.search_runs(experiments, where, max_results=1))


def running_executions() -> set[str]:
    """Ids of executions that may still need removed objects: one in a copy of the project has its own dvc.lock."""
    return {execution.id for execution in others(current()) if execution.is_running()}


def _has_cache() -> bool:
    return (project_root() / ".dvc").is_dir()


def unused_objects() -> list[Path]:
    """Files in DVC's cache that `dvc_gc` would remove."""
    return [Path(path) for path in re.findall(r"^Removing (/.+)$", dvc_gc("--dry"), re.MULTILINE)]


def dvc_gc(*options: str) -> str:
    """Remove unused objects from DVC's cache; returns dvc's output.

    Raises:
        InputError: dvc refuses, with its own message.
    """
    command = [sys.executable, "-m", "dvc", "gc", "--workspace", "--all-branches", "--all-tags", "--all-experiments"]
    command += ["--force", *options]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", cwd=project_root())
    if done.returncode:
        raise InputError(f"dvc gc failed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
    return done.stdout


def _local(location: str) -> Path | None:
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return Path(local_file_uri_to_path(location)) if is_local_uri(location) else None


def _size(files: Iterable[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files if file.is_file()) / MIB:.1f} MiB"


def _parents(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.parent is None]


def _line(run: Run) -> str:
    return f"{datetime.fromtimestamp(run.start / 1000):%Y-%m-%d %H:%M}  {run.name}  {run.id}"
