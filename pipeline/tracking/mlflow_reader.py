"""Runs out of MLflow, as plain data. Creates no database and writes nothing into one."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import InputError
from pipeline.tracking.execution import project_root
from pipeline.tracking.mlflow_client import brief, existing, is_unreachable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class TrackedRun:
    """One MLflow run. status: FINISHED, FAILED, KILLED or RUNNING."""

    id: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def find_run_by_id(prefix: str) -> TrackedRun | None:
    """The pipeline's row whose id begins so; None where there is none, or nothing has been tracked here.

    Args:
        prefix: hexadecimal digits, at most the 32 of an id.

    Raises:
        InputError: several rows begin so, it is a stage's run, or MLflow does not answer.
    """
    with open_client() as client:
        if client is None:
            return None
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = client.search_runs(experiments, f"attributes.run_id LIKE '{prefix}%'") if experiments else []
    rows = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    if len(rows) > 1:
        raise InputError(f"{len(rows)} MLflow runs begin with {prefix}; name more digits: {_ids(rows)}")
    if found and not rows:
        whole = found[0].data.tags["mlflow.parentRunId"]
        raise InputError(f"MLflow run {found[0].info.run_id} is one stage's; name its pipeline's: {whole}")
    return _tracked_run(rows[0]) if rows else None


def read_artifact(run_id: str, path: Path) -> bytes | None:
    """A file that a run left; None where it left none under this path.

    Raises:
        InputError: MLflow does not answer.
    """
    with open_client() as client, tempfile.TemporaryDirectory() as folder:
        if client is None:
            return None
        known = client.list_artifacts(run_id, path.parent.as_posix())
        if path.as_posix() not in [file.path for file in known]:
            return None
        return Path(client.download_artifacts(run_id, path.as_posix(), folder)).read_bytes()


@contextlib.contextmanager
def open_client() -> "Iterator[MlflowClient | None]":
    """The client, in the folder that the artifacts' places are relative to."""
    with contextlib.chdir(project_root()):
        try:
            yield existing()
        except InputError:
            raise
        except Exception as error:
            from mlflow.exceptions import MlflowException

            if not isinstance(error, MlflowException) and not is_unreachable(error):
                raise
            what = "does not answer" if is_unreachable(error) else "cannot be read"
            raise InputError(f"MLflow {what}; mend MLFLOW_TRACKING_URI or try later: {brief(error)}") from error


def _tracked_run(run: "Run") -> TrackedRun:
    return TrackedRun(run.info.run_id, run.info.status, run.data.params, run.data.metrics, run.data.tags)


def _ids(runs: "list[Run]") -> str:
    return ", ".join(sorted(run.info.run_id for run in runs))
