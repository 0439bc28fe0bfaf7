"""Non-inferiority of a smaller model: on all test pairs a measure is worse by less than a margin, surely.

One-sided: the 97.5% end of the interval must lie within the margin. Of several parts (all pairs, every guarded slice)
each must pass, an intersection-union test (Berger 1982, Technometrics 24), so that none needs a correction; and sizes
are tried in rising order up to the first that fails, a fixed sequence, which needs none either.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.pruning.predictions import Slice, difference
from pipeline.stats.measures import EvaluationSet, Measure, measure_changes
from pipeline.tables.pruning import WHOLE

MIN_QUERIES = 30  # of a slice that is guarded: the interval of fewer says little
POWER = 1.96 + 1.28  # standard errors between no change and the margin, for 90% power


@dataclass(frozen=True)
class NonInferiority:
    """Outcome on one part of the pairs.

    Attributes:
        part: slice and value.
        queries: in it.
        change: of the measure, a difference.
        worst: the 97.5% end of the change's interval on the worse side.
        margin: that the change may be worse by.
        within: whether the change itself lies within the margin.
        passed: whether the worst end does.
    """

    part: tuple[str, str]
    queries: int
    change: float
    worst: float
    margin: float
    within: bool
    passed: bool


def non_inferiority(
    measure: Measure,
    logits: np.ndarray,
    evaluated: EvaluationSet,
    slices: Iterable[Slice],
    margin: float,
    slices_margin: float,
) -> list[NonInferiority]:
    """Test a smaller model's logits [pair, output] on all pairs, and on each slice of MIN_QUERIES queries or more.

    Args:
        measure: taken as a difference even where its changes are relative.
        evaluated: the pairs with the unmasked model's logits.
        slices: column, value and pairs of each.
        margin: in the measure's unit. slices_margin: likewise, of each slice.
    """
    everything = np.ones(len(evaluated.unmasked_logits), dtype=bool)
    parts = [(WHOLE, everything, margin), *(((name, value), pairs, slices_margin) for name, value, pairs in slices)]
    tested = []
    for part, pairs, allowed in parts:
        kept, evaluated_part = evaluated.part(pairs)
        if part == WHOLE or evaluated_part.sample.queries >= MIN_QUERIES:
            tested.append(_tested(measure, logits[kept], evaluated_part, allowed, part))
    return tested


def _tested(
    measure: Measure, logits: np.ndarray, evaluated: EvaluationSet, margin: float, part: tuple[str, str]
) -> NonInferiority:
    changes = measure_changes(difference(measure), logits[None], evaluated)
    ends = (float(changes.low[0]), float(changes.high[0]))
    change, worst = float(changes.changes[0]), max(ends, key=measure.harm)
    within, passed = (bool(measure.harm(value) < margin) for value in (change, worst))
    return NonInferiority(part, evaluated.sample.queries, change, worst, margin, within, passed)


def pairs_needed(measure: Measure, groups: pd.DataFrame, pairs: int, margin: float) -> int:
    """Test pairs that confirm a margin with 90% power where nothing changes on average.

    Their spread is that of the smallest group of the least important heads, as measured on `pairs` pairs; 0 where none
    was masked.

    Args:
        groups: `tables.group_ablation.GROUPS`.
    """
    removal = groups[(groups["group_type"] == "removal") & (groups["group"] == "least_important_first")]
    smallest = removal.sort_values("heads_masked", kind="stable").head(1)
    width = float((smallest[f"{measure.change}_high"] - smallest[f"{measure.change}_low"]).sum())
    if measure.is_relative:
        width *= float(groups.loc[groups["group_type"] == "unmasked", measure.name].iloc[0])
    error = width / (2 * 1.96)
    return int(np.ceil(pairs * (POWER * error / margin) ** 2))
