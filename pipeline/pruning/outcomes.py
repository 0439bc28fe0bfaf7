"""What a decision leads to, as frames and metrics: sizes tried, controls, predictions that change."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from pipeline.pruning.decision import CONFIRMED, Decision, JudgedRung
from pipeline.pruning.predictions import PrunedPredictions, difference
from pipeline.pruning.units import PrunableUnits, Unit, count_heads
from pipeline.stats.measure_sets import MeasureSet
from pipeline.stats.measures import EvaluationSet, Measure, point_changes
from pipeline.tables.pruning import DECISIONS, LADDER


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
    sets: Sequence[tuple[str, Collection[Unit]]],
    predictions: PrunedPredictions,
    measure: Measure,
    measures: MeasureSet,
) -> pd.DataFrame:
    """Sets of one size and how they were chosen, as `tables.pruning.PRUNING_CONTROLS`."""
    logits, evaluated = predictions.logits([removed for _, removed in sets]), predictions.evaluated
    names = pd.Series([name for name, _ in sets])
    return pd.DataFrame(
        {
            "chosen_by": names,
            "replicate": names.groupby(names).cumcount(),
            **pd.DataFrame([_size(removed) for _, removed in sets]),
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
    predictions: PrunedPredictions,
    logits: np.ndarray,
    measure: Measure,
    measures: MeasureSet,
    changed: pd.DataFrame,
    needed: int,
) -> dict[str, float | int]:
    """Metrics of the stage: what goes, what it changes on all test pairs, and what the sample can say."""
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
        f"{measure.name}_change": by_measure.pop(measure.name),
        **by_measure,
        "changed_pairs": len(changed),
        "pairs": len(predictions.encoded),
        "pairs_needed": needed,
    }


def _size(removed: Collection[Unit]) -> dict[str, int]:
    heads = count_heads(removed)
    return {"heads_removed": heads, "blocks_removed": len(removed) - heads}
