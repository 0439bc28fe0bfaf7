"""publish: fill this execution's MLflow row from dvc.lock, the stages' metrics and the findings.

Writes no file of the project. Does nothing where no stage ran and the row exists already.
"""

import json
from collections import Counter
from pathlib import Path

from pipeline import paths, tracking
from pipeline.params import Params
from pipeline.tracking.fingerprint import Lock, output_fingerprint, read_lock
from pipeline.tracking.record import Record

METRICS = {
    "prepare": paths.PREPARE_METRICS,
    "finetune": paths.FINETUNE_METRICS,
    "baseline": paths.BASELINE_METRICS,
    "attention": paths.ATTENTION_METRICS,
    "head_ablation": paths.HEAD_METRICS,
    "dependency": paths.DEPENDENCY_METRICS,
    "group_ablation": paths.GROUP_METRICS,
}


def main(params: Params, record: Record) -> None:
    lock = read_lock()
    if tracking.is_published(lock):
        return
    record.metrics = headline(METRICS)
    record.tags = fingerprint_tags(lock) | finding_tags(paths.FINDINGS)
    record.artifacts = [paths.REPORT, *sorted(paths.FIGURES.glob("*.png"))]
    record.dataset = [paths.TRAIN, paths.DEV, paths.TEST]
    tracking.publish(params, record, lock)


def headline(files: dict[str, Path]) -> dict[str, float | int | None]:
    """Every stage's metrics under their plain names; `<stage>.<name>` where two stages use the same name."""
    found = {stage: _numbers(path) for stage, path in files.items() if path.exists()}
    uses = Counter(name for metrics in found.values() for name in metrics)
    return {
        name if uses[name] == 1 else f"{stage}.{name}": value
        for stage, metrics in found.items()
        for name, value in metrics.items()
    }


def _numbers(path: Path) -> dict[str, float | int | None]:
    values = json.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in values.items() if isinstance(value, int | float) or value is None}


def fingerprint_tags(lock: Lock) -> dict[str, str]:
    """What was analysed: one hash of the prepared splits, one of the model."""
    found = {"data": output_fingerprint(lock, paths.PREPARED), "model": output_fingerprint(lock, paths.MODEL)}
    return {f"{name}.fingerprint": value for name, value in found.items() if value}


def finding_tags(path: Path) -> dict[str, str]:
    """finding.F3 = agrees, for each of the article's findings that was judged."""
    findings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {f"finding.{finding['id']}": finding["verdict"] for finding in findings}
