"""Rows into MLflow, by its own id each, so that a row cut off half way is completed by writing it again.

mlflow is imported only to write: the import takes seconds.
"""

import contextlib
import re
import warnings
from collections.abc import Iterator
from getpass import getuser
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pipeline.tracking.connection import LOCK_SECONDS, connect, tracking_uri
from pipeline.tracking.execution import root, state
from pipeline.tracking.record import Row

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

BATCH = 100  # MLflow's limit for params in a request
ROW_TAG, STAGE_FINGERPRINT_TAG = "pipeline.row", "pipeline.stage_fingerprint"


def write(row: Row, base: Path) -> None:
    """Create or complete the row's run. Its files lie below `base`, an absolute path.

    Raises whatever MLflow raises; `connection.is_unreachable` says which of it is no fault of the row.
    """
    with contextlib.chdir(root()):
        _Store(*connect(tracking_uri(), row.experiment, root())).write(row, base)


class _Store:
    def __init__(self, client: "MlflowClient", experiment_id: str):
        self.client = client
        self.experiment_id = experiment_id

    def write(self, row: Row, base: Path) -> None:
        with FileLock(state() / "runs.lock", timeout=LOCK_SECONDS):  # two that miss a run would make it twice
            run = self._find(ROW_TAG, row.id) or self._create(row)
        run_id = run.info.run_id
        self._log_values(run, row)
        for name in row.artifacts:
            self._log_files(run_id, base, Path(name))
        self._log_dataset(run_id, base, row.dataset)
        self._link_stages(run_id, row)
        if row.model and not (run.outputs and run.outputs.model_outputs):
            self._log_model(run_id, base, Path(row.model))
        if row.status == "RUNNING":
            self.client.update_run(run_id, row.status)
        elif row.status:
            self.client.set_terminated(run_id, row.status, row.end)

    def _find(self, tag: str, value: str) -> "Run | None":
        where = f"tags.`{tag}` = '{value}'"
        found = self.client.search_runs([self.experiment_id], where, max_results=1, order_by=["start_time DESC"])
        return found[0] if found else None

    def _create(self, row: Row) -> "Run":
        tags = {ROW_TAG: row.id, "mlflow.user": getuser()}
        tags |= {"mlflow.source.name": "dvc repro", "mlflow.source.type": "LOCAL"}
        if row.parent:
            parent = self._find(ROW_TAG, row.parent) or self._create(row.of_parent())
            tags |= {"pipeline.kind": "stage", "mlflow.parentRunId": parent.info.run_id}
        else:
            tags |= {"pipeline.kind": "pipeline"}
        return self.client.create_run(self.experiment_id, row.start, tags, row.name)

    def _log_values(self, run: "Run", row: Row) -> None:
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
        place = Path(*path.parts[1:]) if not path.is_absolute() else Path(path.name)
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

    def _link_stages(self, run_id: str, row: Row) -> None:
        """Name, for each stage of the pipeline's row, the run that computed it: in this execution or an earlier one."""
        for stage, fingerprint in row.stages.items():
            ran = row.ran.get(stage)
            found = self._find(ROW_TAG, ran) if ran else self._find(STAGE_FINGERPRINT_TAG, fingerprint)
            self.client.set_tag(run_id, f"stage.{stage}.cached", "false" if ran else "true")
            if not found:
                continue
            self.client.set_tag(run_id, f"stage.{stage}.run_id", found.info.run_id)
            seconds = ((found.info.end_time or found.info.start_time) - found.info.start_time) / 1000
            self.client.set_tag(run_id, f"stage.{stage}.seconds", f"{seconds:.1f}")
            if ran:
                self.client.set_tag(found.info.run_id, STAGE_FINGERPRINT_TAG, fingerprint)

    def _log_model(self, run_id: str, base: Path, folder: Path) -> None:
        """The classifier, for `mlflow.transformers.load_model`: a pipeline over a text and a text_pair."""
        import mlflow.transformers
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        model = AutoModelForSequenceClassification.from_pretrained(base / folder)
        # MLflow asks the model hub about this name; one that no hub accepts keeps it from asking.
        model.name_or_path = f"./{folder}"
        inputs = Schema([ColSpec("string", "text"), ColSpec("string", "text_pair")])
        outputs = Schema([ColSpec("string", "label"), ColSpec("double", "score")])
        mlflow.set_tracking_uri(self.client.tracking_uri)
        with mlflow.start_run(run_id=run_id):
            mlflow.transformers.log_model(
                {"model": model, "tokenizer": AutoTokenizer.from_pretrained(base / folder)},
                name="model",
                task="text-classification",
                signature=ModelSignature(inputs, outputs),
                pip_requirements=[f"{package}=={version(package)}" for package in ("transformers", "torch")],
            )


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
