"""Records of runs as plain data: sent to MLflow at once or later from the outbox, with the same result."""

import math
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeGuard

import yaml

from pipeline.core.config import Params, flatten_params
from pipeline.core.run_names import metric_name
from pipeline.tracking.provenance import source_tags

PUBLISHED_TAG = "pipeline.published"


@dataclass
class Record:
    """Report of a stage; every path is relative to the project's root.

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

    id: names the run, whoever writes first. parent: id of a stage run's parent run, None for the parent run itself.
    status: MLflow's; None leaves it as it is. start, end: milliseconds since 1970.
    stages: stage -> fingerprint of its entry in dvc.lock. ran: stage -> id of its run, where this execution ran it.
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
        """Files and folders of the run."""
        return [*self.artifacts, *self.dataset, *([self.model] if self.model else [])]

    def of_parent(self) -> "RunRecord":
        """Minimal record of the parent run, where it has not been written yet."""
        return RunRecord(self.parent or self.id, "pipeline", self.experiment, self.start)

    def filled(self, record: Record) -> Self:
        """Fill in a stage's report, without missing files and numbers that are not finite."""
        stage = self.name if self.parent else None
        curve = [(metric_name(stage, name), value, step) for name, value, step in record.curve]
        return replace(
            self,
            metrics={metric_name(stage, name): float(v) for name, v in record.metrics.items() if _is_finite(v)},
            curve=[point for point in curve if _is_finite(point[1])],
            tags=self.tags | record.tags,
            artifacts=_existing(record.artifacts),
            dataset=_existing(record.dataset),
            model=str(record.model) if record.model and record.model.is_dir() else None,
            note=record.note,
        )


def open_parent(id: str, key: str, params: Params, start: int) -> RunRecord:
    """Parent run as opened by the first process of an execution."""
    name = os.environ.get("DVC_EXP_NAME") or f"{params.model.name}, {params.data.source_name}"
    tags = {"pipeline.exec_key": key, PUBLISHED_TAG: "false"} | source_tags()
    return RunRecord(id, name, params.run.experiment, start, params=flatten_params(params), tags=tags)


def _existing(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in paths if path.exists()]


def _is_finite(value: float | int | None) -> TypeGuard[float | int]:
    return value is not None and math.isfinite(value)


def declared_params(flat: dict[str, str], stage: str, pipeline: Path = Path("dvc.yaml")) -> dict[str, str]:
    """Those params that the stage declares in dvc.yaml, alone or by section; all where it declares none."""
    keys = [key for key in _entry(stage, pipeline).get("params", []) if isinstance(key, str)]
    chosen = {name: value for name, value in flat.items() if any(f"{name}.".startswith(f"{key}.") for key in keys)}
    return chosen or flat


def stage_description(stage: str, pipeline: Path = Path("dvc.yaml")) -> str:
    """Description of the stage in dvc.yaml; empty where there is none."""
    return _entry(stage, pipeline).get("desc", "")


def _entry(stage: str, pipeline: Path) -> dict[str, Any]:
    # A stage run by hand needs no dvc.yaml.
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        return yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"].get(stage, {})
    return {}
