"""A fine-tuned model as MLflow keeps it."""

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from getpass import getuser
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pipeline.tracking import description, model_registry
from pipeline.tracking.execution import project_root, tracking_folder
from pipeline.tracking.mlflow_client import LOCK_SECONDS, connect, tracking_uri
from pipeline.tracking.run_record import RunRecord, stage_description

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def logged_models(client: "MlflowClient", run: "Run") -> list[str]:
    """Ids of the models that the run logged whole: MLflow names a model before its files are there."""
    named = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    return [model_id for model_id in named if client.get_logged_model(model_id).status == "READY"]


def log_model(tracking_uri: str, run_id: str, base: Path, folder: Path) -> None:
    """Log the classifier below `base` for `mlflow.transformers.load_model`: a pipeline over a text and a text_pair."""
    import mlflow.transformers
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(base / folder)
    # MLflow asks the model hub about this name; one that no hub accepts keeps it from asking.
    model.name_or_path = f"./{folder}"
    inputs = Schema([ColSpec("string", "text"), ColSpec("string", "text_pair")])
    outputs = Schema([ColSpec("string", "label"), ColSpec("double", "score")])
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run(run_id=run_id):
        mlflow.transformers.log_model(
            {"model": model, "tokenizer": AutoTokenizer.from_pretrained(base / folder)},
            name="model",
            task="text-classification",
            signature=ModelSignature(inputs, outputs),
            pip_requirements=[f"{package}=={version(package)}" for package in ("transformers", "torch")],
        )


if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

BATCH = 100  # MLflow's limit for params in a request
ROW_TAG, STAGE_FINGERPRINT_TAG = "pipeline.row", "pipeline.stage_fingerprint"


def write_run(row: RunRecord, base: Path) -> None:
    """Create or complete the row's run. Its files lie below `base`, an absolute path.

    Raises whatever MLflow raises; `connection.is_unreachable` says which of it is no fault of the row.
    """
    with contextlib.chdir(project_root()):
        _Writer(*connect(tracking_uri(), row.experiment, project_root())).write(row, base)


class _Writer:
    def __init__(self, client: "MlflowClient", experiment_id: str):
        self.client = client
        self.experiment_id = experiment_id

    def write(self, row: RunRecord, base: Path) -> None:
        with FileLock(tracking_folder() / "runs.lock", timeout=LOCK_SECONDS):  # two that miss a run would make it twice
            run = self._find(ROW_TAG, row.id) or self._create(row)
        run_id = run.info.run_id
        self._log_values(run, row)
        for name in row.artifacts:
            self._log_files(run_id, base, Path(name))
        self._log_dataset(run_id, base, row.dataset)
        computed = self._link_stages(run_id, row)
        if row.model and not logged_models(self.client, run):
            log_model(self.client.tracking_uri, run_id, base, Path(row.model))
        if row.status == "RUNNING":
            self.client.update_run(run_id, row.status)
        elif row.status:
            self.client.set_terminated(run_id, row.status, row.end)
        if row.is_published:
            self._register(run_id, row, computed)

    def _find(self, tag: str, value: str) -> "Run | None":
        where = f"tags.`{tag}` = '{value}'"
        found = self.client.search_runs([self.experiment_id], where, max_results=1, order_by=["start_time DESC"])
        return found[0] if found else None

    def _create(self, row: RunRecord) -> "Run":
        tags = {ROW_TAG: row.id, "mlflow.user": _user()}
        tags |= {"mlflow.source.name": "dvc repro", "mlflow.source.type": "LOCAL"}
        if row.parent:
            parent = self._find(ROW_TAG, row.parent) or self._create(row.of_parent())
            tags |= {"pipeline.kind": "stage", "mlflow.parentRunId": parent.info.run_id}
            tags |= {description.TAG: about} if (about := stage_description(row.name)) else {}
        else:
            tags |= {"pipeline.kind": "pipeline"}
        return self.client.create_run(self.experiment_id, row.start, tags, row.name)

    def _log_values(self, run: "Run", row: RunRecord) -> None:
        from mlflow.entities import Metric, Param, RunTag

        moment = row.end or row.start
        metrics = [Metric(_metric_name(name), value, moment, 0) for name, value in row.metrics.items()]
        metrics += [Metric(_metric_name(name), value, moment, step) for name, value, step in row.curve]
        params = [Param(name, value) for name, value in row.params.items() if name not in run.data.params]
        for batch in _batches(metrics):
            self.client.log_batch(run.info.run_id, metrics=batch)
        for batch in _batches(params):
            self.client.log_batch(run.info.run_id, params=batch)
        self.client.log_batch(run.info.run_id, tags=[RunTag(name, value) for name, value in row.tags.items()])

    def _log_files(self, run_id: str, base: Path, path: Path) -> None:
        """reports/figures/x.png as figures/x.png: an artifact's place leaves out the first folder."""
        place = Path(*path.parts[1:])
        if (base / path).is_dir():
            self.client.log_artifacts(run_id, str(base / path), place.as_posix())
        else:
            folder = None if place.parent == Path() else place.parent.as_posix()
            self.client.log_artifact(run_id, str(base / path), folder)

    def _log_dataset(self, run_id: str, base: Path, splits: list[str]) -> None:
        if splits:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that integers cannot hold missing values: a split has none
                self.client.log_inputs(run_id, [_dataset(base, Path(split)) for split in splits])

    def _link_stages(self, run_id: str, row: RunRecord) -> "list[Run]":
        """Name, for each stage of the pipeline's row, the run that computed it: in this execution or an earlier one."""
        computed, stages = [], []
        for stage, fingerprint in row.stages.items():
            ran = row.ran.get(stage)
            found = self._find(ROW_TAG, ran) if ran else self._find(STAGE_FINGERPRINT_TAG, fingerprint)
            stages.append(description.Stage(stage, _seconds(found) if found else None, is_cached=not ran))
            if found:
                computed.append(found)
                self.client.set_tag(run_id, f"stage.{stage}.run_id", found.info.run_id)
            if found and ran:
                self.client.set_tag(found.info.run_id, STAGE_FINGERPRINT_TAG, fingerprint)
        self._tell_stages(run_id, row, stages)
        return computed

    def _tell_stages(self, run_id: str, row: RunRecord, stages: list[description.Stage]) -> None:
        from mlflow.entities import RunTag

        tags = {f"stage.{stage.name}.cached": "true" if stage.is_cached else "false" for stage in stages}
        tags |= {f"stage.{stage.name}.seconds": f"{stage.seconds:.1f}" for stage in stages if stage.seconds is not None}
        if row.note:
            tags |= {description.TAG: description.with_stages(row.note, stages), "stages.ran": description.ran(stages)}
        if tags:
            self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _register(self, run_id: str, row: RunRecord, computed: "list[Run]") -> None:
        """The model behind a finished row, fine-tuned now or earlier, becomes the newest."""
        from mlflow.entities import LoggedModelInput

        for run in computed:
            for model_id in logged_models(self.client, run):
                version = model_registry.register(self.client, row.experiment, run.info.run_id, model_id, row.start)
                self.client.set_tag(run_id, "model.version", version)
                self.client.log_inputs(run_id, models=[LoggedModelInput(model_id)])


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _seconds(run: "Run") -> float:
    return ((run.info.end_time or run.info.start_time) - run.info.start_time) / 1000


def _metric_name(name: str) -> str:
    return re.sub(r"[^\w.\- :/]", "_", name)


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _dataset(base: Path, split: Path) -> "DatasetInput":
    import pandas as pd
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import DatasetInput, InputTag

    dataset = from_pandas(pd.read_parquet(base / split), source=str(split), name=split.stem)
    return DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", split.stem)])
