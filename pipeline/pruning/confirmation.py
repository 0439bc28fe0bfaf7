"""Non-inferiority of a smaller model: on all test pairs a measure is worse by less than a margin, surely.

One-sided: the 97.5% end of the interval must lie within the margin. Of several parts (all pairs, every guarded slice)
each must pass, an intersection-union test (Berger 1982, Technometrics 24), so that none needs a correction; and sizes
are tried in rising order up to the first that fails, a fixed sequence, which needs none either.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom

from pipeline.pruning.predictions import Part, Predictions, difference
from pipeline.pruning.search import Rung
from pipeline.stats.measures import EvaluationSet, Measure, measure_changes
from pipeline.tables.pruning import WHOLE

MIN_QUERIES = 30  # of a slice that is guarded: the interval of fewer says little
BEYOND = 0.025  # chance of what lies beyond the tested end of an interval
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


@dataclass(frozen=True)
class JudgedRung:
    """A rung of the ladder, and what the test pairs say of it.

    Attributes:
        rung: of the ladder.
        parts: the outcome on all test pairs, then on each guarded slice.
        logits: without its units, [pair, output].
    """

    rung: Rung
    parts: Sequence[NonInferiority]
    logits: np.ndarray

    @property
    def passed(self) -> bool:
        return all(part.passed for part in self.parts)

    @property
    def within(self) -> bool:
        """Whether every part's change, not its interval, is within its margin."""
        return all(part.within for part in self.parts)


def confirm(
    rungs: Iterable[Rung],
    predictions: Predictions,
    measure: Measure,
    margins: tuple[float, float],
    confirmable: bool,
) -> Iterator[JudgedRung]:
    """Test rungs in rising order on the test pairs, up to the first that fails.

    Args:
        rungs: those above are not asked for.
        predictions: on the test pairs.
        margins: of all pairs, and of each slice.
        confirmable: whether the sample can confirm them; if not, a rung fails whose changes themselves are beyond.
    """
    for rung in rungs:
        (logits,) = predictions.logits([rung.removed])
        judged = JudgedRung(rung, non_inferiority(measure, logits, predictions.parts, *margins), logits)
        yield judged
        if not (judged.passed if confirmable else judged.within):
            return


def non_inferiority(
    measure: Measure, logits: np.ndarray, parts: Iterable[Part], margin: float, slices_margin: float
) -> list[NonInferiority]:
    """Test a smaller model's logits [pair, output] on all pairs, and on each slice of `guarded_from` queries or more.

    Args:
        measure: taken as a difference even where its changes are relative.
        parts: `Predictions.parts`, with the whole model's logits.
        margin: in the measure's unit. slices_margin: likewise, of each slice.
    """
    queries = guarded_from(slices_margin)
    return [
        _tested(measure, logits[pairs], evaluated, margin if part == WHOLE else slices_margin, part)
        for part, pairs, evaluated in parts
        if part == WHOLE or evaluated.sample.queries >= queries
    ]


def guarded_from(margin: float) -> int:
    """Queries of a slice from which it is guarded: as many that it can lose one of them and still hold its margin.

    If a share of n queries as large as the margin were lost, a sample would lose at most one in fewer than 2.5% of
    cases (Clopper & Pearson 1934, Biometrika 26). A smaller slice would forbid whatever costs a single query.
    """
    numbers = np.arange(2, int(6 / margin) + 3)  # one lost of 5.6 / margin is enough, as margins become small
    return max(MIN_QUERIES, int(numbers[np.argmax(binom.cdf(1, numbers, margin) < BEYOND)]))


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
