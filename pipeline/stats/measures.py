"""Measures of what masking does to a model's predictions: their values, changes, intervals and scale.

Each `Measure` is a function of statistics summed over queries, so every resample of queries recomputes it whole. What
reads effects (tables, tests, findings, report) takes the measures of a kind of model, a `measure_sets.MeasureSet`, and
none by name. "Logits" are a model's outputs [pair, output]: one a grade of a grader, the one score of a ranker.

The scale of a change is the way from the unmasked model to the constant one, a grader which knows the class priors and
nothing of the pair, or a ranker which scores all titles alike: a change of 1 leaves nothing of what the model knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.special import softmax

from pipeline.stats.bootstrap import QuerySample, jackknife_intervals, query_indicator, titles_by_query, typical_part

ANY, SHARE, POSITIVE = (-np.inf, np.inf), (0.0, 1.0), (0.0, np.inf)
PRIOR_COUNT = 0.5  # added to every class, so that a grade that does not occur has a finite log prior
Ends = tuple[np.ndarray, np.ndarray]  # of intervals
Comparisons = tuple[np.ndarray, np.ndarray, np.ndarray]  # better title, worse title, query: [comparison] each


@dataclass(frozen=True)
class EvaluationSet:
    """Evaluation set: pairs on which predictions under masks are compared with the unmasked model's.

    Attributes:
        grades: gold, 0 worst, [pair]; numbers that need not be whole where a ranker's are; None where there are none.
        unmasked_logits: [pair, output].
        sample: the pairs' queries.
        compared: of a ranker, the titles that pairwise measures compare with the others of their queries, bool [pair];
            None: all.
    """

    grades: np.ndarray | None
    unmasked_logits: np.ndarray
    sample: QuerySample
    compared: np.ndarray | None = None

    def subset(self, pairs: np.ndarray) -> Self:
        """Subset of the pairs, by index or bool [pair]."""
        grades = None if self.grades is None else self.grades[pairs]
        compared = None if self.compared is None else self.compared[pairs]
        return type(self)(grades, self.unmasked_logits[pairs], self.sample.subset(pairs), compared)

    def part(self, pairs: np.ndarray) -> tuple[np.ndarray, Self]:
        """The part for the effects on a slice, bool [pair]: which of the pairs it keeps, bool [pair], and itself.

        A grader's are the slice's. A ranker's are whole queries, those with a title in the slice; pairwise measures
        compare the slice's titles with all others of their queries.
        """
        if not self.is_ranked:
            return pairs, self.subset(pairs)
        kept = np.isin(self.sample.query_ids, self.sample.query_ids[pairs])
        return kept, replace(self.subset(kept), compared=pairs[kept])

    @property
    def is_ranked(self) -> bool:
        """Whether the model gives one score a pair, by which the titles of a query are ranked."""
        return self.unmasked_logits.shape[-1] == 1

    @property
    def gold(self) -> np.ndarray:
        """Gold grades [pair]. Raises ValueError: there are none."""
        if self.grades is None:
            raise ValueError("a measure that needs grades was asked of pairs without")
        return self.grades

    @cached_property
    def in_query(self) -> np.ndarray:
        """`query_indicator` of the pairs."""
        return query_indicator(self.sample.query_ids)

    @cached_property
    def titles(self) -> list[np.ndarray]:
        """`titles_by_query` of the pairs."""
        return titles_by_query(self.sample.query_ids)

    @cached_property
    def comparisons(self) -> Comparisons:
        """Comparisons, by gold grade, of the titles that are compared with the others of their queries."""
        return comparisons_by(self.gold, self.titles, self.compared)

    @property
    def predicted(self) -> np.ndarray:
        """Grades that the unmasked grader predicts, [pair]."""
        return self.unmasked_logits.argmax(axis=-1)

    @cached_property
    def constant_logits(self) -> np.ndarray:
        """Logits of the constant model [pair, output].

        A grader's are the log class priors: the gold grades' shares on these very pairs, which flatters it, or without
        gold those of the model's predictions. A ranker's are all 0.
        """
        if self.is_ranked:
            return np.zeros_like(self.unmasked_logits)
        pairs, grades = self.unmasked_logits.shape
        if self.grades is None:
            counts = softmax(self.unmasked_logits.astype(np.float64), axis=-1).sum(axis=0)
        else:
            counts = np.bincount(self.grades, minlength=grades).astype(np.float64)
        return np.broadcast_to(np.log((counts + PRIOR_COUNT) / (counts + PRIOR_COUNT).sum()), (pairs, grades))


def comparisons_by(values: np.ndarray, titles: Sequence[np.ndarray], compared: np.ndarray | None = None) -> Comparisons:
    """Comparisons of two titles of a query with different values, the higher first, by query.

    Args:
        values: [pair].
        titles: pairs of each query, see `EvaluationSet.titles`.
        compared: titles of which one at least is in every comparison, bool [pair]; None: all.
    """
    parts = []
    for query, pairs in enumerate(titles):
        higher = values[pairs][:, None] > values[pairs]
        if compared is not None:
            higher &= compared[pairs][:, None] | compared[pairs]
        first, second = np.nonzero(higher)
        parts.append((pairs[first], pairs[second], np.full(len(first), query)))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


Statistics = Callable[[np.ndarray, EvaluationSet], np.ndarray]
PairValues = Callable[[np.ndarray, EvaluationSet], np.ndarray]  # [mask, pair] of logits [mask, pair, output]
ExactInterval = Callable[[np.ndarray, EvaluationSet], Ends]


@dataclass(frozen=True)
class Measure:
    """Measure of predictions under a mask.

    Attributes:
        name: of its column, and of its metrics.
        label: as figures and tables word it.
        meaning: what a value says, a noun phrase.
        unit: of its values and changes, "" for a plain number.
        range: lowest and highest value.
        better: whether higher or lower values are better.
        per: what it is an average over; "sample" for one that is none.
        needs_grades: whether it compares with gold grades; else with the unmasked predictions.
        statistics: of logits [mask, pair, output], summed by query, float64 [mask, query, statistic].
        value: of statistics summed over queries, [...] of [..., statistic]; NaN where undefined.
        is_relative: whether a change is a fraction of the unmasked value (the article's way), not a difference.
        pair_values: what it is a mean of, [mask, pair] of logits [mask, pair, output]; None where it is no mean over
            pairs.
        exact_interval: of the changes of logits [mask, pair, output], for few changed predictions, NaN for many.
    """

    name: str
    label: str
    meaning: str
    unit: str
    range: tuple[float, float]
    better: Literal["higher", "lower"]
    per: Literal["pair", "query", "sample"]
    needs_grades: bool
    statistics: Statistics
    value: Callable[[np.ndarray], np.ndarray]
    is_relative: bool = False
    exact_interval: ExactInterval | None = None
    pair_values: PairValues | None = None

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean, over pairs or queries, whose number no mask changes."""
        return self.per != "sample"

    @property
    def change(self) -> str:
        """Column of its change; a distance is its own."""
        if self.is_distance:
            return self.name
        return f"relative_{self.name}_change" if self.is_relative else f"{self.name}_change"

    @property
    def change_range(self) -> tuple[float, float]:
        """Lowest and highest change."""
        low, high = self.range
        return self.range if self.is_distance else (-1.0, np.inf) if self.is_relative else (low - high, high - low)

    @property
    def to_constant(self) -> str:
        """Column of its change as a share of the way to the constant grader."""
        return f"{self.name}_to_constant"

    @property
    def is_distance(self) -> bool:
        """Whether it is a distance from the unmasked predictions: 0 without a mask, and never below."""
        return not self.needs_grades

    def changes(self, after: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Changes from `before` to `after`, values of shapes that broadcast; NaN where undefined."""
        if not self.is_relative:
            return after - before
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(before > 0, after / before - 1, np.nan)

    def harm(self, changes: Any) -> Any:
        """Changes with the sign that makes worse ones larger."""
        return -changes if self.better == "higher" else changes

    def way(self, evaluated: EvaluationSet) -> float:
        """Change from the unmasked model to the constant grader; NaN where the model is no better than that one."""
        way = float(point_changes(self, evaluated.constant_logits[None], evaluated)[0])
        return way if self.harm(way) > 0 else np.nan


def pair_mean(values: PairValues) -> dict[str, Any]:
    """Fields of a measure that is the mean over pairs of values [mask, pair]; pairs without one (NaN) do not count."""

    def statistics(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
        by_pair = values(logits, evaluated).astype(np.float64)
        counted = np.isfinite(by_pair)
        return np.stack([np.where(counted, by_pair, 0) @ evaluated.in_query, counted @ evaluated.in_query], axis=-1)

    return {"per": "pair", "statistics": statistics, "value": mean_of_sums, "pair_values": values}


def query_mean(values: PairValues) -> dict[str, Any]:
    """Fields of a measure that is the mean over queries of values [mask, query]; those without one do not count."""

    def statistics(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
        by_query = values(logits, evaluated)
        return np.stack([np.nan_to_num(by_query), np.isfinite(by_query).astype(np.float64)], axis=-1)

    return {"per": "query", "statistics": statistics, "value": mean_of_sums}


def mean_of_sums(sums: np.ndarray) -> np.ndarray:
    """Means [...] of sums and counts [..., 2]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


@dataclass(frozen=True)
class Changes:
    """Changes of a measure under masks.

    Attributes:
        measure: whose.
        values: under each mask, [mask].
        changes: from the unmasked model, [mask]; low, high: their 95% intervals.
        share_low, share_high: 95% intervals of the changes as shares of the way to the constant grader, which is as
            uncertain as they are; above 0 is worse.
        share_least, share_most: wider intervals, for claims that a change is small: they allow for what was not seen.
        resamples: the changes in every resample of the bootstrap, [mask, resample].
        sums: statistics by query, of the unmasked model and of every mask, [1 + mask, query, statistic].
        way: change from the unmasked model to the constant one; NaN where the model is no better than that one.
    """

    measure: Measure
    values: np.ndarray
    changes: np.ndarray
    low: np.ndarray
    high: np.ndarray
    share_low: np.ndarray
    share_high: np.ndarray
    share_least: np.ndarray
    share_most: np.ndarray
    resamples: np.ndarray
    sums: np.ndarray
    way: float

    @property
    def without(self) -> np.ndarray:
        """Changes without each query, [mask, query]."""
        values = self.measure.value(self.sums.sum(axis=1, keepdims=True) - self.sums)
        return self.measure.changes(values[1:], values[:1])

    def changed_queries(self, share: float | np.ndarray) -> np.ndarray:
        """Number of queries that change by more than a share of the way, of a mean over queries, [mask].

        Args:
            share: the same of every mask or [mask].
        """
        unit = self.measure.value(self.sums[0].sum(axis=0)) if self.measure.is_relative else 1.0
        sizes = np.abs(np.asarray(share) * self.way * unit)[..., None]
        return (np.abs(self.sums[1:, :, 0] - self.sums[0, :, 0]) > sizes).sum(axis=1)

    def of(self, masks: np.ndarray) -> "Changes":
        """Changes of some masks, bool [mask]."""
        kept = {
            field.name: getattr(self, field.name)[masks]
            for field in fields(self)
            if field.name not in ("measure", "sums", "way")
        }
        return replace(self, sums=self.sums[np.append(True, masks)], **kept)


def point_changes(measure: Measure, logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Changes [mask] of a measure under masks, without intervals, from logits [mask, pair, grade]."""
    rows = np.concatenate([evaluated.unmasked_logits[None], logits])
    values = measure.value(measure.statistics(rows, evaluated).sum(axis=1))
    return measure.changes(values[1:], values[0])


def measure_changes(measure: Measure, logits: np.ndarray, evaluated: EvaluationSet) -> Changes:
    """Changes of a measure under masks, from logits [mask, pair, grade].

    Intervals are the jackknife's; where few predictions change, the wider of that and the exact one.
    """
    rows = np.concatenate([evaluated.unmasked_logits[None], logits, evaluated.constant_logits[None]])
    exact = measure.exact_interval(logits, evaluated) if measure.exact_interval else None
    return changes_of_sums(measure, measure.statistics(rows, evaluated), evaluated.sample, exact)


def changes_of_sums(measure: Measure, sums: np.ndarray, sample: QuerySample, exact: Ends | None = None) -> Changes:
    """`measure_changes` from a measure's statistics.

    Args:
        sums: by query, of the unmasked model, every mask and the constant model, [1 + mask + 1, query, statistic].
        exact: intervals, see `Measure.exact_interval`.
    """
    totals = sums.sum(axis=1)
    values, left_out = measure.value(totals), measure.value(totals[:, None] - sums)  # [row], [row, query]
    changes, without = measure.changes(values[1:], values[0]), measure.changes(left_out[1:], left_out[:1])
    way = np.where(measure.harm(changes[-1]) > 0, changes[-1], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares, shares_without = changes[:-1] / way, without[:-1] / np.where(np.isnan(way), np.nan, without[-1])
    exact = exact or (changes[:-1], changes[:-1])
    exact_shares = np.minimum(*exact / way), np.maximum(*exact / way)
    any_share = POSITIVE if measure.is_distance else ANY
    drawn = measure.value(sample.bootstrap.sums(np.moveaxis(sums[:-1], 1, 0)))  # [resample, 1 + mask]
    return Changes(
        measure,
        values[1:-1],
        changes[:-1],
        *_wider(jackknife_intervals(without[:-1], changes[:-1]), exact, measure.change_range),
        *_wider(jackknife_intervals(shares_without, shares), exact_shares, any_share),
        *_wider(jackknife_intervals(shares_without, shares, typical_part(shares_without)), exact_shares, any_share),
        resamples=measure.changes(drawn[:, 1:], drawn[:, :1]).T,
        sums=sums[:-1],
        way=float(way),
    )


def _wider(interval: Ends, exact: Ends, within: tuple[float, float]) -> Ends:
    """The wider of two intervals, cut to what its values can be."""
    return np.clip(np.fmin(interval[0], exact[0]), *within), np.clip(np.fmax(interval[1], exact[1]), *within)


def measure_scales(measures: Sequence[Measure], evaluated: EvaluationSet, margin: float) -> pd.DataFrame:
    """`pipeline.tables.measures.SCALES`: each measure unmasked and of the constant grader, and the size that matters.

    Args:
        margin: share of the way to the constant grader from which a change matters.
    """
    rows = []
    for measure in measures:
        constant = measure_changes(measure, evaluated.constant_logits[None], evaluated)
        unmasked = measure.value(constant.sums[0].sum(axis=0))
        way = measure.way(evaluated)
        rows.append(
            {
                "measure": measure.name,
                "label": measure.label,
                "unit": measure.unit,
                "better": measure.better,
                "needs_grades": measure.needs_grades,
                "unmasked": float(unmasked),
                "constant": float(constant.values[0]),
                "way": way,
                "way_low": float(constant.low[0]),
                "way_high": float(constant.high[0]),
                "margin": margin * abs(way),
            }
        )
    return pd.DataFrame(rows)
