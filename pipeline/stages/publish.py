"""publish: fill this execution's parent run in MLflow from dvc.lock, the stages' metrics and the findings.

Writes no file of the project. Publishes nothing where no stage ran and the run exists already. Keeps a copy of the
run's results below .tracking/, which the next rerun is compared with.
"""

from pathlib import Path
from typing import Any

from pipeline import tracking
from pipeline.compare.run_results import STAGE_METRICS, head_effects, summary_lines
from pipeline.core import paths
from pipeline.core.config import Params, flatten_params
from pipeline.core.heads import Head
from pipeline.core.run_names import run_metrics
from pipeline.rerun import previous
from pipeline.tracking.description import Effect, describe
from pipeline.tracking.outbox import never_fail
from pipeline.tracking.provenance import Lock, output_fingerprint, read_lock
from pipeline.tracking.run_record import Record


def main(params: Params, record: Record) -> None:
    lock = read_lock()
    if not tracking.is_published(lock):
        _publish(params, record, lock)
    with never_fail():
        previous.keep_published()
    if lines := summary_lines():
        print("", *lines, sep="\n", flush=True)


def _publish(params: Params, record: Record, lock: Lock) -> None:
    record.metrics = run_metrics({stage: _json(path) for stage, path in STAGE_METRICS.items() if path.exists()})
    record.tags = fingerprint_tags(lock) | finding_tags(paths.FINDINGS)
    flat = flatten_params(params)
    effects = _effects(paths.HEADS, flat)
    record.note = describe(flat, record.metrics, effects, _findings(paths.FINDINGS))
    record.artifacts = [
        paths.REPORT,
        paths.EXPLORER,
        paths.EXPLORER_DATA,
        paths.HEADS,
        *sorted(paths.FIGURES.glob("*.png")),
    ]
    record.dataset = [paths.TRAIN, paths.DEV, paths.TEST]
    tracking.publish(params, record, lock)


def fingerprint_tags(lock: Lock) -> dict[str, str]:
    """Fingerprints of the analysed data and model: a hash of the prepared splits, and of the model."""
    outputs = {"data": output_fingerprint(lock, paths.PREPARED), "model": output_fingerprint(lock, paths.MODEL)}
    return {f"{name}.fingerprint": value for name, value in outputs.items() if value}


def finding_tags(path: Path) -> dict[str, str]:
    """Tags of the findings judged, such as finding.F3 = agrees."""
    return {f"finding.{finding['id']}": finding["verdict"] for finding in _findings(path)}


def _effects(path: Path, params: dict[str, str]) -> list[Effect]:
    """Effects of single heads masked."""
    heads = head_effects("this run", path.read_bytes(), params).itertuples() if path.exists() else []
    return [(Head.of_row(row).short, row.change, row.verdict) for row in heads]


def _findings(path: Path) -> list[dict[str, str]]:
    return _json(path) if path.exists() else []


def _json(path: Path) -> Any:
    # Imported here since it imports pandas, which an execution with nothing to publish does without.
    from pipeline.core.formats import read_json

    return read_json(path)
