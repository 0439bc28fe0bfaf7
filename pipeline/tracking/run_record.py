"""What is tracked, as plain data: written to MLflow at once or kept and written later, it reads the same."""

import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import yaml
from pydantic import BaseModel

from pipeline.core.config import Params
from pipeline.tracking.provenance import source_tags

PUBLISHED_TAG = "pipeline.published"
PARAM_LENGTH = 6000  # MLflow's limit for a param's value, in characters


@dataclass
class Record:
    """What a stage reports; every path is relative to the project's root.

    metrics: headline numbers; None and what is not finite are left out.
    artifacts: files and folders. curve: (metric, value, step). tags: short texts.
    model: folder of a fine-tuned model and its tokenizer. dataset: parquet splits. note: a description, in Markdown.
    """

    metrics: dict[str, float | int | None] = field(default_factory=dict)
    artifacts: list[Path] = field(default_factory=list)
    curve: list[tuple[str, float, int]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    model: Path | None = None
    dataset: list[Path] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class RunRecord:
    """One MLflow run, or an addition to one. Writing it twice leaves the same run as writing it once.

    id: names the run, whoever writes first. parent: id of the pipeline's row, None for that row itself.
    status: MLflow's; None leaves it as it is. start, end: milliseconds since 1970.
    stages: stage -> fingerprint of its entry in dvc.lock. ran: stage -> id of its row, where this execution ran it.
    note: a description in Markdown, without the stages.
    """

    id: str
    name: str
    experiment: str
    start: int
    parent: str | None = None
    status: str | None = None
    end: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[str, float, int]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    model: str | None = None
    dataset: list[str] = field(default_factory=list)
    stages: dict[str, str] = field(default_factory=dict)
    ran: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def is_published(self) -> bool:
        return self.status == "FINISHED" and self.tags.get(PUBLISHED_TAG) == "true"

    def files(self) -> list[str]:
        """Every file or folder that writing the row reads."""
        return [*self.artifacts, *self.dataset, *([self.model] if self.model else [])]

    def of_parent(self) -> "RunRecord":
        """The least a parent needs, where its own row has not been written yet."""
        return RunRecord(self.parent or self.id, "pipeline", self.experiment, self.start)


def open_parent(id: str, key: str, params: Params, start: int) -> RunRecord:
    """The pipeline's row as an execution's first process knows it."""
    source = params.data.source if params.data.source != "generated" else f"generated {params.data.generated.language}"
    name = os.environ.get("DVC_EXP_NAME") or f"{params.model.name}, {source}"
    tags = {"pipeline.exec_key": key, PUBLISHED_TAG: "false"} | source_tags()
    return RunRecord(id, name, params.base.experiment, start, params=flatten_params(params), tags=tags)


def recorded_values(record: Record) -> dict[str, Any]:
    """The fields of a `Row` that a stage's record fills. What it names but never wrote is left out."""
    return {
        "metrics": {name: float(value) for name, value in record.metrics.items() if _is_number(value)},
        "curve": [(name, float(value), step) for name, value, step in record.curve if _is_number(value)],
        "tags": dict(record.tags),
        "artifacts": [str(path) for path in record.artifacts if path.exists()],
        "dataset": [str(path) for path in record.dataset if path.exists()],
        "model": str(record.model) if record.model and record.model.is_dir() else None,
        "note": record.note,
    }


def _is_number(value: float | int | None) -> TypeGuard[float | int]:
    return value is not None and math.isfinite(value)


def flatten_params(section: BaseModel, prefix: str = "") -> dict[str, str]:
    """Params under dotted names; a value that is no text is written as JSON."""
    flat: dict[str, str] = {}
    for name, value in section:
        if isinstance(value, BaseModel):
            flat |= flatten_params(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            flat[prefix + name] = text[:PARAM_LENGTH]
    return flat


def declared_params(flat: dict[str, str], stage: str, pipeline: Path = Path("dvc.yaml")) -> dict[str, str]:
    """Those params that the stage declares in dvc.yaml, alone or by section; all where it declares none."""
    keys = [key for key in _entry(stage, pipeline).get("params", []) if isinstance(key, str)]
    chosen = {name: value for name, value in flat.items() if any(f"{name}.".startswith(f"{key}.") for key in keys)}
    return chosen or flat


def stage_description(stage: str, pipeline: Path = Path("dvc.yaml")) -> str:
    """What dvc.yaml says the stage turns into what; empty where it says nothing."""
    return _entry(stage, pipeline).get("desc", "")


def _entry(stage: str, pipeline: Path) -> dict[str, Any]:
    with suppress(
        OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, AttributeError
    ):  # a stage runs by hand without it
        return yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"].get(stage, {})
    return {}
