"""Model registry: fine-tuned models as versions of a registered model, the newest pipeline's under an alias.

``models:/<experiment>@newest`` is the model of the latest pipeline that finished. The smaller form of the latest that
made one, ``models:/<experiment>-pruned@pruned``, is another registered model, so that `newest` never is a smaller one.
Runs that are written late, since MLflow did not answer, do not move an alias back: the version says when the parent run
that the alias followed was started.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.tracking.description import LENGTH
from pipeline.tracking.execution import tracking_lock
from pipeline.tracking.mlflow_client import LOCK_SECONDS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

STARTED_TAG = "pipeline.row_started"  # milliseconds since 1970
WITHDRAWN_TAG = "pipeline.withdrawn"


@dataclass(frozen=True)
class Registration:
    """How the models that a stage logs are registered.

    Attributes:
        suffix: of the registered model's name, behind the experiment's.
        alias: of the newest version.
        tag: of the parent run, which names the version.
        about: description of the registered model.
    """

    suffix: str
    alias: str
    tag: str
    about: str

    def model_name(self, experiment: str) -> str:
        """Name of the registered model: the experiment's, without what MLflow refuses in one."""
        return experiment.replace("/", "_").replace(":", "_") + self.suffix


FULL = Registration(
    "",
    "newest",
    "model.version",
    "The model whose heads are analysed; `newest` is that of the latest finished pipeline.",
)
PRUNED = Registration(
    "-pruned",
    "pruned",
    "pruned_model.version",
    "The same without the heads and neurons that pruning removes; `pruned` is that of the latest finished pipeline.",
)
REGISTRATIONS = {"finetune": FULL, "pruning": PRUNED}  # by stage


def register(
    client: "MlflowClient", registration: Registration, experiment: str, run: "Run", model_id: str, note: str
) -> str:
    """Register the one model that a stage's run logged, unless it is already, and return its version.

    `note`: the parent run's description, which becomes a new version's.
    """
    name, run_id = registration.model_name(experiment), run.info.run_id
    with tracking_lock("registry", LOCK_SECONDS):  # two at once would register a model twice
        if _registered_model(client, name) is None:
            client.create_registered_model(name, description=registration.about)
        known = [version for version in client.search_model_versions(f"run_id = '{run_id}'") if version.name == name]
        return str((known[0] if known else _create_version(client, name, run, model_id, note)).version)


def follow(
    client: "MlflowClient", registration: Registration, experiment: str, version: str, parent_start: int
) -> None:
    """Let the alias follow the parent run, started at `parent_start`, unless it follows one that was started later."""
    name = registration.model_name(experiment)
    with tracking_lock("registry", LOCK_SECONDS):
        is_withdrawn = client.get_model_version(name, version).tags.get(WITHDRAWN_TAG) == "true"
        current = client.get_registered_model(name).aliases.get(registration.alias)
        if not is_withdrawn and _last_start(client, name, current) <= parent_start:
            client.set_model_version_tag(name, version, STARTED_TAG, str(parent_start))
            point_alias(client, registration, experiment, version)


def point_alias(client: "MlflowClient", registration: Registration, experiment: str, version: str) -> None:
    """Point the alias at a version, whatever it pointed at: the next finished pipeline moves it again."""
    client.set_registered_model_alias(registration.model_name(experiment), registration.alias, version)


def rollback_alias(client: "MlflowClient", registration: Registration, experiment: str, since: int) -> str | None:
    """Roll the alias back from the model of a parent run started at or after `since` to the one before.

    No later run gives it back to that model; `point_alias` does. Returns the version that the alias is back at, None
    where it was not moved.
    """
    name = registration.model_name(experiment)
    with tracking_lock("registry", LOCK_SECONDS):
        model = _registered_model(client, name)
        current = model.aliases.get(registration.alias) if model else None
        if current is None or _last_start(client, name, current) < since:
            return None
        client.set_model_version_tag(name, current, WITHDRAWN_TAG, "true")
        quote = '"' if "'" in name else "'"
        found = client.search_model_versions(f"name = {quote}{name}{quote}")
        versions = {str(version.version): version.tags for version in found if STARTED_TAG in version.tags}
        good = [version for version, tags in versions.items() if tags.get(WITHDRAWN_TAG) != "true"]
        if not good:
            return None
        before = max(good, key=lambda version: int(versions[version][STARTED_TAG]))
        point_alias(client, registration, experiment, before)
    return before


def _registered_model(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    return None


def _create_version(client: "MlflowClient", name: str, run: "Run", model_id: str, note: str) -> "ModelVersion":
    """A version with the run's metrics as tags: the evidence for it stands beside it."""
    import mlflow

    mlflow.set_tracking_uri(client.tracking_uri)  # where the registry looks the model up
    evidence = {f"metric.{metric}": f"{value:g}" for metric, value in run.data.metrics.items()}
    source = f"models:/{model_id}"
    about = note[:LENGTH] or None
    return client.create_model_version(name, source, run.info.run_id, evidence, description=about, model_id=model_id)


def _last_start(client: "MlflowClient", name: str, version: str | None) -> int:
    """Start of the parent run that the alias follows; 0 where it follows none."""
    tags = client.get_model_version(name, version).tags if version else {}
    return int(tags.get(STARTED_TAG, 0))
