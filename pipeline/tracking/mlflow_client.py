"""Connection to MLflow: address, client, experiment and its saved view."""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.core.process import collection_paused
from pipeline.core.run_names import FINDING_IDS, NEEDED_HEADS, QUALITY
from pipeline.tracking.execution import project_root, tracking_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# A dead server costs seconds instead of minutes; nothing is sent home; no bars in the log.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# mlflow.transformers warns that a folder is on no model hub.
LOG_LEVELS = {"mlflow": logging.WARNING, "alembic": logging.WARNING, "mlflow.transformers": logging.ERROR}
DATABASE_RETRIES = 2  # MLflow's own 15 take an hour
CLOSED_DOORS = (401, 403, 408, 429)  # no run gets in, whatever is in it
OTHER_SCHEMA = re.compile(r"out-of-date database schema \(found version (\w+)")  # in MLflow's message
LOCK_SECONDS = 120  # the first start creates the database, slowly where several processes wait for it


def tracking_uri() -> str:
    """Tracking URI: MLFLOW_TRACKING_URI where set, else the project's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _database_uri(project_root() / paths.DATABASE)


def _database_uri(file: Path) -> str:
    """Address of a database file, relative to the working folder where the path has ? or %.

    In an address ? ends the file's name and %20 is a space; written as %3F and %2520, MLflow makes folders of these
    names beside the project.
    """
    path = str(file)
    return f"sqlite:///{os.path.relpath(file) if '?' in path or '%' in path else path}"


def own_database() -> Path | None:
    """File of the project's database, None where another is in use."""
    file = project_root() / paths.DATABASE
    return file if tracking_uri() in (_database_uri(file), f"sqlite:///{paths.DATABASE}") else None


@cache
def connect(uri: str, experiment: str, _root: Path) -> "tuple[MlflowClient, str]":
    """Connect: client and experiment id; database and experiment are created where missing.

    Raises:
        InputError: the experiment was deleted in MLflow.
    """
    client = _open(uri)
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    with _database_lock():
        store = client._tracking_client.store
        # A database file's new experiments keep their artifacts in the project. MLflow makes a relative place absolute
        # before it stores it, except this one: it stays relative for the project's own database, so that artifacts
        # open from the project's root wherever the project is moved.
        if hasattr(store, "artifact_root_uri"):
            folder = paths.RUN_ARTIFACTS if own_database() else project_root() / paths.RUN_ARTIFACTS
            store.artifact_root_uri = str(folder)
        found = client.get_experiment_by_name(experiment) or _create_experiment(client, experiment)
        if found.lifecycle_stage == "deleted":  # its name stays taken
            raise InputError(
                f"MLflow's experiment {experiment!r} was deleted; restore it, as `MLFLOW_TRACKING_URI={_shown_uri()} "
                f"mlflow experiments restore --experiment-id {found.experiment_id}` does, or set run.experiment to "
                "another name"
            )
        # A convenience: where nothing answers, the next request says so.
        with suppress(MlflowException, RequestException):
            keep_view(client, found)
        return client, found.experiment_id


def connect_existing() -> "MlflowClient | None":
    """Connect to an existing database; None where its file is missing, which a client would create."""
    uri = tracking_uri()
    return None if uri.startswith("sqlite") and not _database_file(uri).is_file() else _open(uri)


def _database_file(uri: str) -> Path:
    from sqlalchemy.engine import make_url

    return Path(make_url(uri).database or "")


def _open(uri: str) -> "MlflowClient":
    """Open a client with short timeouts and a quiet log, set before mlflow is imported.

    Raises:
        InputError: the database is damaged, or of another version of MLflow.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    with collection_paused():
        from mlflow import MlflowClient

        for logger, level in LOG_LEVELS.items():
            logging.getLogger(logger).setLevel(level)
        if is_remote():  # whose client needs none of the database's libraries
            return MlflowClient(uri)
        _limit_retries()
        with _database_lock(), _explain_database():
            return MlflowClient(uri)


def _limit_retries() -> None:
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = DATABASE_RETRIES


@contextmanager
def _explain_database() -> Iterator[None]:
    """Turn what is wrong with a database itself into an InputError; trying later does not help there."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DatabaseError, OperationalError

    try:
        yield
    except DatabaseError as error:
        if isinstance(error, OperationalError):  # locked, or not to be reached
            raise
        raise InputError(
            f"MLflow's database {_shown_uri()} is damaged ({brief(error)}); put a copy of it back, or move it away, "
            "whereupon a new one is made"
        ) from error
    except MlflowException as error:
        if (found := OTHER_SCHEMA.search(str(error))) and not _is_known_schema(found[1]):
            raise InputError(
                f"MLflow's database {_shown_uri()} is of a version that MLflow {version('mlflow')} does not know "
                f"(schema {found[1]}), probably a later one, which `mlflow db upgrade` cannot change back; use that "
                "version of MLflow, or move the database away, whereupon a new one is made"
            ) from error
        raise


def _is_known_schema(revision: str) -> bool:
    """Whether this MLflow can upgrade a database of that revision."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from mlflow.store.db.utils import _get_alembic_config

    try:
        return ScriptDirectory.from_config(_get_alembic_config(db_url="")).get_revision(revision) is not None
    except CommandError:
        return False


def _database_lock() -> AbstractContextManager[Any]:
    """Lock on the database, which concurrent first accesses break. A server needs none."""
    return nullcontext() if is_remote() else tracking_lock("store", LOCK_SECONDS)


def _create_experiment(client: "MlflowClient", name: str) -> "Experiment":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_experiment(client.create_experiment(name))
    except MlflowException:
        if found := client.get_experiment_by_name(name):  # another client created it first
            return found
        raise


def is_remote() -> bool:
    """Whether MLflow is a server."""
    return tracking_uri().startswith("http")


def is_unreachable(error: Exception) -> bool:
    """Whether MLflow or the disk is unreachable, rather than refusing a request."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import OperationalError

    status = http_status(error)
    if isinstance(error, MlflowException):
        # A server's 500 is its own trouble; the client's own errors bear that number too.
        return status in CLOSED_DOORS or (status or 0) >= (500 if is_remote() else 501)
    if status is not None:
        return status in CLOSED_DOORS or status >= 500
    # With a server, the disk of this machine is not part of MLflow: a file that is not there is the run's fault.
    return isinstance(error, RequestException | OperationalError if is_remote() else OSError | OperationalError)


def http_status(error: Exception) -> int | None:
    """HTTP status that an error of MLflow or requests carries; None of any other."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    if isinstance(error, MlflowException):
        return error.get_http_status_code()
    if isinstance(error, RequestException) and error.response is not None:
        return error.response.status_code
    return None


def brief(error: Exception) -> str:
    """First line of an error, without a password in an address; the whole message of one that users fix."""
    if isinstance(error, InputError):
        return str(error)
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return _without_password(line)[:200]


def _shown_uri() -> str:
    return _without_password(tracking_uri())


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


VIEW_TAG = "mlflow.sharedViewState.pipeline"
VIEW_METRICS = (*QUALITY["grader"], *QUALITY["ranker"][:1], NEEDED_HEADS)
# Column -> its width in pixels, from left to right.
VIEW_COLUMNS = {
    "params.`model.name`": 90,
    "params.`data.source`": 90,
    "attributes.`Version`": 75,  # the git commit
    **{f"metrics.`{name}`": 100 for name in VIEW_METRICS},
    **{f"tags.`finding.{name}`": 80 for name in FINDING_IDS},
    "tags.`stages.ran`": 150,
    "attributes.`Models`": 160,
}
PINNED_COLUMNS = {"attributes.`Run Name`": 190}
VIEW = {
    "searchFilter": "tags.`pipeline.kind` = 'pipeline' AND tags.`pipeline.published` = 'true'",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "modelVersionFilter": "All Runs",
    "datasetsFilter": [],
    "selectedColumns": list(VIEW_COLUMNS),
    "columnOrder": list(PINNED_COLUMNS | VIEW_COLUMNS),
    "columnWidths": PINNED_COLUMNS | VIEW_COLUMNS,
}


def keep_view(client: "MlflowClient", experiment: "Experiment") -> None:
    """Write the view where the experiment has none or another one; its tags, as read, save the request."""
    view = saved_view(experiment.creation_time or 0)
    if experiment.tags.get(VIEW_TAG) != view:
        client.set_experiment_tag(experiment.experiment_id, VIEW_TAG, view)


def saved_view(created: int) -> str:
    """Value of the view's tag; `created` in milliseconds since 1970 is what the UI shows as the view's age."""
    return json.dumps({"name": "Pipeline", "createdAt": created, "updatedAt": created, "state": json.dumps(VIEW)})
