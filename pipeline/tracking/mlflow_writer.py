"""Writer of MLflow runs: files, model, and the links between a parent run and its stages."""

import contextlib
import json
import os
import re
import warnings
from collections.abc import Callable, Collection
from functools import partial
from getpass import getuser
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking import description, model_registry
from pipeline.tracking.execution import project_root, tracking_lock
from pipeline.tracking.mlflow_client import LOCK_SECONDS, connect, is_remote, tracking_uri
from pipeline.tracking.parts import (
    ALIAS,
    DATASET,
    FILES,
    LINKS,
    METRICS,
    MODEL,
    PARAMS,
    STATUS,
    TAGS,
    VERSION,
    WAITING_TAG,
    FilesElsewhere,
    Named,
    PartSender,
)
from pipeline.tracking.run_record import RunRecord, stage_description

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.types import Schema

    from pipeline.tracking.model_registry import Registration

BATCH = 100  # MLflow's limit for params in a request
PARAM_LENGTH = 6000  # MLflow's limit for a param's value, in characters
RECORD_ID_TAG, STAGE_FINGERPRINT_TAG = "pipeline.row", "pipeline.stage_fingerprint"


def write_run(record: RunRecord, base: Path, given_up: Collection[str] = ()) -> None:
    """Create or complete the record's run. Its files lie below `base`, an absolute path.

    Args:
        given_up: kinds of parts that are not tried, and wait.

    Raises:
        PartsRefused: MLflow has the run, without some parts.
        Exception: whatever MLflow raises where it took nothing; `mlflow_client.is_unreachable` says whether MLflow,
            not the record, is at fault.
    """
    with contextlib.chdir(project_root()):
        _Writer(*connect(tracking_uri(), record.experiment, project_root()), given_up).write(record, base)


class _Writer:
    def __init__(self, client: "MlflowClient", experiment_id: str, given_up: Collection[str]):
        self.client = client
        self.experiment_id = experiment_id
        self.sender = PartSender(lambda: client.get_experiment(experiment_id), given_up)

    def write(self, record: RunRecord, base: Path) -> None:
        with tracking_lock("runs", LOCK_SECONDS):  # two that miss a run would make it twice
            run = self._find(RECORD_ID_TAG, record.id) or self._create(record)
        self._send_values(run, record)
        self._send_files(run, record, base)
        computed: dict[str, Run] = {}
        self.sender.send(LINKS, "", lambda: computed.update(self._link_stages(run.info.run_id, record)))
        if record.status:
            self.sender.send(STATUS, record.status, lambda: self._set_status(run.info.run_id, record))
        if record.is_published:
            self._register(run.info.run_id, record, computed)
        self._tell_what_waits(run)
        self.sender.check(record)

    def _tell_what_waits(self, run: "Run") -> None:
        run_id = run.info.run_id
        if lacks := self.sender.lacks():
            self.sender.send(TAGS, WAITING_TAG, partial(self.client.set_tag, run_id, WAITING_TAG, lacks))
        elif WAITING_TAG in run.data.tags:
            self.sender.send(TAGS, WAITING_TAG, partial(self.client.delete_tag, run_id, WAITING_TAG))

    def _find(self, tag: str, value: str) -> "Run | None":
        where = f"tags.`{tag}` = '{value}'"
        found = self.client.search_runs([self.experiment_id], where, max_results=1, order_by=["start_time DESC"])
        return found[0] if found else None

    def _create(self, record: RunRecord) -> "Run":
        tags = {RECORD_ID_TAG: record.id, "mlflow.user": _user()}
        tags |= {"mlflow.source.name": "dvc repro", "mlflow.source.type": "LOCAL"}
        if record.parent:
            parent = self._find(RECORD_ID_TAG, record.parent) or self._create(record.of_parent())
            tags |= {"pipeline.kind": "stage", "mlflow.parentRunId": parent.info.run_id}
            tags |= {description.TAG: about} if (about := stage_description(record.name)) else {}
        else:
            tags |= {"pipeline.kind": "pipeline"}
        return self.client.create_run(self.experiment_id, record.start, tags, record.name)

    def _send_values(self, run: "Run", record: RunRecord) -> None:
        from mlflow.entities import Metric, Param, RunTag

        run_id, moment = run.info.run_id, record.end or record.start
        points = [*((name, value, 0) for name, value in record.metrics.items()), *record.curve]
        metrics = [(name, Metric(_metric_name(name), value, moment, step)) for name, value, step in points]
        new = {name: value for name, value in record.params.items() if name not in run.data.params}
        params = [(name, Param(name, value[:PARAM_LENGTH])) for name, value in new.items()]
        tags = [(name, RunTag(name, value)) for name, value in record.tags.items()]
        logs: dict[str, tuple[list[Named], Callable[[list[Any]], object]]] = {
            METRICS: (metrics, lambda batch: self.client.log_batch(run_id, metrics=batch)),
            PARAMS: (params, lambda batch: self.client.log_batch(run_id, params=batch)),
            TAGS: (tags, lambda batch: self.client.log_batch(run_id, tags=batch)),
        }
        for kind, (values, log) in logs.items():
            for start in range(0, len(values), BATCH):
                self.sender.send_values(kind, values[start : start + BATCH], log)

    def _set_status(self, run_id: str, record: RunRecord) -> None:
        if record.status == "RUNNING":
            self.client.update_run(run_id, record.status)
        else:
            self.client.set_terminated(run_id, record.status, record.end)

    def _set_tags(self, run_id: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        if tags:
            self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _send_files(self, run: "Run", record: RunRecord, base: Path) -> None:
        """Send files, splits of the dataset, and the model."""
        for name in record.artifacts:
            self.sender.send(FILES, name, partial(self._log_files, run, base, Path(name)))
        for split in record.dataset:
            self.sender.send(DATASET, split, partial(self._log_split, run.info.run_id, base, split))
        if record.model:
            self.sender.send(MODEL, record.model, partial(self._log_model, run, base, Path(record.model)))

    def _log_files(self, run: "Run", base: Path, path: Path) -> None:
        """Log files without their first folder: reports/figures/x.png as figures/x.png."""
        _check_place(run)
        run_id, place = run.info.run_id, Path(*path.parts[1:])
        if (base / path).is_dir():
            self.client.log_artifacts(run_id, str(base / path), place.as_posix())
        else:
            folder = None if place.parent == Path() else place.parent.as_posix()
            self.client.log_artifact(run_id, str(base / path), folder)

    def _log_split(self, run_id: str, base: Path, split: str) -> None:
        import pandas as pd
        from mlflow.data.pandas_dataset import from_pandas
        from mlflow.entities import DatasetInput, InputTag

        name = Path(split).stem
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that integers cannot hold missing values: a split has none
            dataset = from_pandas(pd.read_parquet(base / split), source=split, name=name)._to_mlflow_entity()
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", name)])])

    def _log_model(self, run: "Run", base: Path, folder: Path) -> None:
        """Log the model, unless the run has it; what an upload that failed left of it goes first."""
        _check_place(run)
        models = _models(self.client, run)
        if not any(model.status == "READY" for model in models):
            for model in models:
                self.client.delete_logged_model(model.model_id)
            log_model(self.client.tracking_uri, run.info.run_id, base, folder)

    def _link_stages(self, run_id: str, record: RunRecord) -> "dict[str, Run]":
        """Link each stage of a parent run to the run that computed it, in this execution or an earlier one."""
        computed: dict[str, Run] = {}
        stages: list[description.Stage] = []
        tags: dict[str, str] = {}
        for stage, fingerprint in record.stages.items():
            ran = record.ran.get(stage)
            run = self._find(RECORD_ID_TAG, ran) if ran else self._find(STAGE_FINGERPRINT_TAG, fingerprint)
            seconds = None
            if run:
                computed[stage] = run
                seconds = ((run.info.end_time or run.info.start_time) - run.info.start_time) / 1000
                tags[f"stage.{stage}.run_id"] = run.info.run_id
            if run and ran:
                self.client.set_tag(run.info.run_id, STAGE_FINGERPRINT_TAG, fingerprint)
            stages.append(description.Stage(stage, seconds, is_cached=not ran))
        if record.note:
            text = description.with_stages(record.note, stages)
            tags |= {description.TAG: text, "stages.ran": description.ran(stages)}
        self._set_tags(run_id, tags)
        return computed

    def _register(self, run_id: str, record: RunRecord, computed: "dict[str, Run]") -> None:
        """Register the models of a finished pipeline, made now or earlier, as the newest."""
        for stage, run in computed.items():
            if (registration := model_registry.REGISTRATIONS.get(stage)) is None:
                continue
            name = registration.model_name(record.experiment)
            if MODEL in run.data.tags.get(WAITING_TAG, ""):
                self.sender.waiting[VERSION].append(name)
            else:
                self.sender.send(VERSION, name, partial(self._register_models, run_id, record, run, registration))

    def _register_models(self, run_id: str, record: RunRecord, run: "Run", registration: "Registration") -> None:
        from mlflow.entities import LoggedModelInput

        for model_id in logged_models(self.client, run):
            version = model_registry.register(self.client, registration, record.experiment, run, model_id, record.note)
            self.client.set_tag(run_id, registration.tag, version)
            self.client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
            follow = partial(model_registry.follow, self.client, registration, record.experiment, version, record.start)
            self.sender.send(ALIAS, registration.alias, follow)


def _metric_name(name: str) -> str:
    return re.sub(r"[^\w.\- :/]", "_", name)


def _check_place(run: "Run") -> None:
    """Raises FilesElsewhere: files of the run would go to a folder of this machine that the server took for its own."""
    from mlflow.utils.uri import is_local_uri

    if is_remote() and is_local_uri(run.info.artifact_uri):
        raise FilesElsewhere(
            f"the server keeps files in a folder of its own disk, {run.info.artifact_uri}, which is none of this "
            "machine's; files do not reach it and are not kept for later. Start it with --artifacts-destination and "
            "without --no-serve-artifacts, and set run.experiment to a new name, which gets another place"
        )


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def logged_models(client: "MlflowClient", run: "Run") -> list[str]:
    """Ids of the models that the run logged completely: MLflow names a model before its files are there."""
    return [model.model_id for model in _models(client, run) if model.status == "READY"]


def _models(client: "MlflowClient", run: "Run") -> "list[LoggedModel]":
    """Models that the run logged, complete or not."""
    named = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    return [model for model in found if model.model_id in named]


def log_model(tracking_uri: str, run_id: str, base: Path, folder: Path) -> None:
    """Log the model below `base`: a sequence classifier for `mlflow.transformers.load_model`, a pipeline over a text
    and a text_pair; a scoring chain for `mlflow.pyfunc.load_model`, see `scoring_chain_model`."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema([ColSpec("string", "text"), ColSpec("string", "text_pair")])
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run(run_id=run_id):
        if _is_chain(base / folder):
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).parent / "scoring_chain_model.py"),
                artifacts={"model": str(base / folder)},
                signature=ModelSignature(inputs, Schema([ColSpec("double")])),
                pip_requirements=_requirements("sentence-transformers", "transformers", "torch"),
            )
        else:
            _log_classifier(base, folder, inputs)


def _log_classifier(base: Path, folder: Path, inputs: "Schema") -> None:
    import mlflow.transformers
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(base / folder)
    # MLflow asks the model hub about this name; one that no hub accepts keeps it from asking.
    model.name_or_path = f"./{folder}"
    mlflow.transformers.log_model(
        {"model": model, "tokenizer": AutoTokenizer.from_pretrained(base / folder)},
        name="model",
        task="text-classification",
        signature=ModelSignature(inputs, Schema([ColSpec("string", "label"), ColSpec("double", "score")])),
        pip_requirements=_requirements("transformers", "torch"),
    )


def _is_chain(folder: Path) -> bool:
    """Whether modules with weights of their own stand behind the encoder."""
    modules = folder / "modules.json"
    return modules.exists() and len(json.loads(modules.read_text(encoding="utf-8"))) > 1


def _requirements(*packages: str) -> list[str]:
    return [f"{package}=={version(package)}" for package in packages]
