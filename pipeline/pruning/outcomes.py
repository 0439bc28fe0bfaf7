"""What a decision leads to, as frames and metrics: sizes tried, controls, predictions that change."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from pipeline.models.early_stopping import Scores
from pipeline.pruning.confirmation import JudgedRung
from pipeline.pruning.decision import CONFIRMED, Decision
from pipeline.pruning.predictions import Predictions, difference
from pipeline.pruning.units import HEAD, PrunableUnits, Unit, count_heads
from pipeline.stats.measure_sets import MeasureSet
from pipeline.stats.measures import EvaluationSet, Measure, point_changes
from pipeline.tables.pruning import DECISIONS, LADDER


def decision_records(decision: Decision, searches: Sequence[Collection[Unit]]) -> list[dict[str, Any]]:
    """Every head's decision, as `tables.pruning.DECISION`.

    Args:
        searches: what each search removes at the decision's size.
    """
    records = []
    for head in decision.heads:
        unit = Unit(HEAD, head.layer, head.head)
        records.append({**asdict(head), "frequency": float(np.mean([unit in removed for removed in searches]))})
    return records


def ladder_frame(judged: Sequence[JudgedRung], units: PrunableUnits) -> pd.DataFrame:
    """The sizes tried, as `tables.pruning.LADDER`."""
    everything = units.cost(units.every())
    rows = [
        {
            "rung": number,
            **_size(one.rung.removed),
            "parameters_removed": units.cost(one.rung.removed) / everything,
            "divergence": one.rung.divergence,
            "slice": part.part[0],
            "value": part.part[1],
            "queries": part.queries,
            "change": part.change,
            "worst": part.worst,
            "margin": part.margin,
            "passed": part.passed,
        }
        for number, one in enumerate(judged)
        for part in one.parts
    ]
    return pd.DataFrame(rows) if rows else LADDER.empty()


def controls_frame(
    sets: Sequence[tuple[str, Collection[Unit]]], predictions: Predictions, measure: Measure, measures: MeasureSet
) -> pd.DataFrame:
    """Sets and how they were chosen, as `tables.pruning.PRUNING_CONTROLS`, compared with the whole model."""
    logits = predictions.logits([removed for _, removed in sets])
    return _controls(sets, logits, predictions.evaluated, measure, measures)


def recovery_frame(
    removed: Collection[Unit], recovered: Predictions, masked: Predictions, measure: Measure, measures: MeasureSet
) -> pd.DataFrame:
    """The same of what recovery itself does, compared with the whole model as it was.

    Args:
        removed: the chosen set.
        recovered, masked: predictions on the same pairs, with and without training.
    """
    sets: list[tuple[str, Collection[Unit]]] = [("not_recovered", removed), ("whole", ())]
    logits = np.stack([*masked.logits([removed]), recovered.evaluated.unmasked_logits])
    return _controls(sets, logits, masked.evaluated, measure, measures)


def _controls(
    sets: Sequence[tuple[str, Collection[Unit]]],
    logits: np.ndarray,
    evaluated: EvaluationSet,
    measure: Measure,
    measures: MeasureSet,
) -> pd.DataFrame:
    names = pd.Series([name for name, _ in sets])
    return pd.DataFrame(
        {
            "chosen_by": names,
            "replicate": names.groupby(names).cumcount(),
            **pd.DataFrame([_size(removed) for _, removed in sets]),
            "pairs": logits.shape[1],
            "change": point_changes(difference(measure), logits, evaluated),
            "divergence": point_changes(measures.rank_by, logits, evaluated),
        }
    )


def changed_pairs(
    table: pd.DataFrame, evaluated: EvaluationSet, logits: np.ndarray, measures: MeasureSet
) -> pd.DataFrame:
    """Pairs whose decision changes, as `tables.pruning.CHANGED_PAIRS`: a grade, or a rank among the query's titles.

    Args:
        table: the pairs. logits: of the smaller model, [pair, output].
    """
    query_ids = table["query_id"].to_numpy()
    before, after = (measures.decisions(rows, query_ids).astype(float) for rows in (evaluated.unmasked_logits, logits))
    pairs = table[["query_id", "query", "title", "grade"]].assign(before=before, after=after).astype({"grade": float})
    return pairs[before != after].reset_index(drop=True)


def pruning_metrics(
    decision: Decision,
    units: PrunableUnits,
    predictions: Predictions,
    logits: np.ndarray,
    measure: Measure,
    measures: MeasureSet,
    scores: Scores,
    changed: pd.DataFrame,
    needed: int,
) -> dict[str, float | int | None]:
    """Metrics of the stage: what goes, what it changes on all test pairs, and what the sample can say.

    Args:
        logits: of the smaller model, [pair, output]; scores: its own metrics on the test split.
        changed: `changed_pairs`. needed: test pairs that confirm the margin.
    """
    counts = pd.Series([head.decision for head in decision.heads]).value_counts()
    by_measure = {
        one.name: float(point_changes(difference(one), logits[None], predictions.evaluated)[0])
        for one in (measure, *measures.label_free)
    }
    size = _size(decision.removed)
    return {
        "confirmed": int(decision.status == CONFIRMED),
        **{f"heads_{name}": int(counts.get(name, 0)) for name in DECISIONS},
        "blocks_removed": size["blocks_removed"],
        "parameters_removed": units.cost(decision.removed) / units.cost(units.every()),
        **{f"test_{name}": value for name, value in scores.items()},
        f"{measure.name}_change": by_measure.pop(measure.name),
        **by_measure,
        "changed_pairs": len(changed),
        "pairs": len(predictions.encoded),
        "pairs_needed": needed,
    }


def _size(removed: Collection[Unit]) -> dict[str, int]:
    heads = count_heads(removed)
    return {"heads_removed": heads, "blocks_removed": len(removed) - heads}
