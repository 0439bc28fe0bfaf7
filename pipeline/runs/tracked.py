"""Runs that MLflow keeps: the pipeline's row has params, metrics and verdicts, its stages' runs the tables."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from pipeline import paths
from pipeline.errors import InputError
from pipeline.runs.outcome import Outcome, dotted, head_effects, head_labels
from pipeline.tracking import reading

ID = re.compile(r"[0-9a-f]{6,32}")  # or its beginning
TABLES = {"head_ablation": paths.HEADS, "attention": paths.LABELS}
FINDING = "finding."
GROUPS = "group_ablation.groups"


def outcome(name: str) -> Outcome | None:
    """The pipeline's row of this id, or whose id alone begins so; None where it is no id or there is no such row.

    Raises:
        InputError: the row lacks what a finished run has, several begin so, or MLflow does not answer.
    """
    row = reading.find(name) if ID.fullmatch(name) else None
    if row is None:
        return None
    verdicts = {tag.removeprefix(FINDING): verdict for tag, verdict in row.tags.items() if tag.startswith(FINDING)}
    tables = {path: content for stage, path in TABLES.items() if (content := _table(row, stage, path)) is not None}
    parts = {"metrics": row.metrics, "verdicts on the findings": verdicts}
    missing = [part for part, values in parts.items() if not values]
    missing += [str(path) for path in TABLES.values() if path not in tables]
    if missing:
        raise InputError(
            f"MLflow run {name} ({row.status}) has no {', no '.join(missing)}; name a run in which every stage finished"
        )
    return Outcome(
        name,
        params(row.params),
        row.metrics,
        head_effects(name, tables[paths.HEADS]),
        head_labels(name, tables[paths.LABELS]),
        verdicts,
    )


def params(flat: Mapping[str, str]) -> dict[str, str]:
    """Params as an outcome has them: the user's own groups, one JSON text in MLflow, under a dotted name each."""
    try:
        groups = json.loads(flat.get(GROUPS, "{}"))
    except ValueError:  # cut to MLflow's greatest length
        groups = {}
    if not groups:
        return dict(flat)
    return {name: value for name, value in flat.items() if name != GROUPS} | dotted(groups, f"{GROUPS}.")


def _table(row: reading.Tracked, stage: str, path: Path) -> bytes | None:
    run_id = row.tags.get(f"stage.{stage}.run_id")
    return reading.artifact(run_id, path.relative_to("reports")) if run_id else None
