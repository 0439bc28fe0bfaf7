"""Reader of MLflow runs as plain data. Creates no database and writes nothing."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import InputError
from pipeline.tracking.execution import project_root
from pipeline.tracking.mlflow_client import brief, connect_existing, is_unreachable

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class TrackedRun:
    """One MLflow run. status: FINISHED, FAILED, KILLED or RUNNING."""

    id: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def find_run_by_id(prefix: str) -> TrackedRun | None:
    """Find the parent run by the beginning of its id; None where there is none, or no database.

    Args:
        prefix: hexadecimal digits, at most the 32 of an id.

    Raises:
        InputError: several parent runs begin so, it is a stage run, or MLflow does not answer.
    """
    with open_client() as client:
        if client is None:
            return None
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = client.search_runs(experiments, f"attributes.run_id LIKE '{prefix}%'") if experiments else []
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    if len(parents) > 1:
        ids = ", ".join(sorted(run.info.run_id for run in parents))
        raise InputError(f"{len(parents)} MLflow runs begin with {prefix}; give more digits: {ids}")
    if found and not parents:
        parent = found[0].data.tags["mlflow.parentRunId"]
        raise InputError(f"MLflow run {found[0].info.run_id} is one stage's; name its parent run: {parent}")
    if not parents:
        return None
    info, data = parents[0].info, parents[0].data
    return TrackedRun(info.run_id, info.status, data.params, data.metrics, data.tags)


def read_artifact(run_id: str, path: Path) -> bytes | None:
    """Read an artifact of a run; None where it has none under this path.

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
    """Open a client, in the folder that artifact locations are relative to.

    Raises:
        InputError: MLflow does not answer, or cannot be read. OSError: what this machine refuses, MLflow's or not.
    """
    with contextlib.chdir(project_root()):
        try:
            yield connect_existing()
        except Exception as error:
            from mlflow.exceptions import MlflowException
            from requests import RequestException

            of_this_machine = isinstance(error, OSError) and not isinstance(error, RequestException)
            if of_this_machine or not (isinstance(error, MlflowException) or is_unreachable(error)):
                raise
            what = "does not answer" if is_unreachable(error) else "cannot be read"
            raise InputError(f"MLflow {what}; fix MLFLOW_TRACKING_URI or try later: {brief(error)}") from error
