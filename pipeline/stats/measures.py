"""Measures of what masking does to a grader's predictions: their values, changes, intervals and scale.

Each `Measure` is a function of statistics summed over queries, so every resample of queries recomputes it whole. What
reads effects (tables, tests, findings, report) takes a list of measures and none by name, but the article's ACCURACY.

The scale of a change is the way from the unmasked model to the constant grader, which knows the class priors and
nothing of the pair: a change of 1 leaves nothing of what the model knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax

from pipeline.stats.bootstrap import QuerySample, jackknife_intervals, query_indicator, typical_part
from pipeline.stats.discordance import net_change_interval, pairs_per_event, share_interval
from pipeline.stats.metrics import (
    expected_grades,
    kappa_moments,
    logit_margins,
    ndcg_by_query,
    quadratic_weighted_kappa,
)

PRIOR_COUNT = 0.5  # added to every class, so that a grade that does not occur has a finite log prior
Ends = tuple[np.ndarray, np.ndarray]  # of intervals


@dataclass(frozen=True)
class EvaluationSet:
    """Evaluation set: pairs on which predictions under masks are compared with the unmasked model's.

    Attributes:
        grades: gold, 0 worst, [pair]; None where there are none.
        unmasked_logits: [pair, grade].
        sample: the pairs' queries.
    """

    grades: np.ndarray | None
    unmasked_logits: np.ndarray
    sample: QuerySample

    def subset(self, pairs: np.ndarray) -> Self:
        """Subset of the pairs, by index or bool [pair]."""
        grades = None if self.grades is None else self.grades[pairs]
        return type(self)(grades, self.unmasked_logits[pairs], self.sample.subset(pairs))

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

    @property
    def predicted(self) -> np.ndarray:
        """Grades that the unmasked model predicts, [pair]."""
        return self.unmasked_logits.argmax(axis=-1)

    @cached_property
    def constant_logits(self) -> np.ndarray:
        """Logits of the constant grader [pair, grade]: the log class priors, of the model's predictions without gold.

        The priors are the gold grades' shares on these very pairs, which flatters it.
        """
        pairs, grades = self.unmasked_logits.shape
        if self.grades is None:
            counts = softmax(self.unmasked_logits.astype(np.float64), axis=-1).sum(axis=0)
        else:
            counts = np.bincount(self.grades, minlength=grades).astype(np.float64)
        return np.broadcast_to(np.log((counts + PRIOR_COUNT) / (counts + PRIOR_COUNT).sum()), (pairs, grades))


Statistics = Callable[[np.ndarray, EvaluationSet], np.ndarray]
PairValues = Callable[[np.ndarray, EvaluationSet], np.ndarray]
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
        statistics: of logits [mask, pair, grade], summed by query, float64 [mask, query, statistic].
        value: of statistics summed over queries, [...] of [..., statistic]; NaN where undefined.
        is_relative: whether a change is a fraction of the unmasked value (the article's way), not a difference.
        exact_interval: of the changes of logits [mask, pair, grade], for few changed predictions, NaN for many.
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


def pair_mean(values: PairValues) -> tuple[Statistics, Callable[[np.ndarray], np.ndarray]]:
    """Statistics and value of a mean over pairs of values [mask, pair]; pairs without one (NaN) do not count."""

    def statistics(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
        by_pair = values(logits, evaluated).astype(np.float64)
        counted = np.isfinite(by_pair)
        return np.stack([np.where(counted, by_pair, 0) @ evaluated.in_query, counted @ evaluated.in_query], axis=-1)

    return statistics, mean_of_sums


def mean_of_sums(sums: np.ndarray) -> np.ndarray:
    """Means [...] of sums and counts [..., 2]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


def _right(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return (logits.argmax(axis=-1) == evaluated.gold).astype(np.float64)


def _log_losses(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return -log_softmax(logits.astype(np.float64), axis=-1)[:, np.arange(len(evaluated.gold)), evaluated.gold]


def _margins(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return logit_margins(logits, evaluated.gold)


def _distances(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return np.abs(logits.argmax(axis=-1) - evaluated.gold)


def kl_divergences(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Kullback-Leibler divergence of each pair's masked grades from its unmasked ones, in nats [mask, pair]."""
    before = log_softmax(evaluated.unmasked_logits.astype(np.float64), axis=-1)
    after = log_softmax(logits.astype(np.float64), axis=-1)
    return (np.exp(before) * (before - after)).sum(axis=-1)


def _changed(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return (logits.argmax(axis=-1) != evaluated.predicted).astype(np.float64)


def _kappa_moments(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Moments [mask, query, 6] of `quadratic_weighted_kappa`."""
    moments = kappa_moments(evaluated.gold, logits.argmax(axis=-1))
    return np.einsum("mpk,pq->mqk", moments, evaluated.in_query, optimize=True)


def _gains(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Sums and numbers of the queries' NDCG, [mask, query, 2]."""
    expected = expected_grades(log_softmax(logits.astype(np.float64), axis=-1))
    gains = ndcg_by_query(expected, evaluated.gold, evaluated.sample.query_ids)
    return np.stack([np.nan_to_num(gains), np.isfinite(gains).astype(np.float64)], axis=-1)


def flips(logits: np.ndarray, evaluated: EvaluationSet) -> tuple[np.ndarray, np.ndarray]:
    """Flips of each mask: pairs right to wrong, and pairs wrong to right, bool [mask, pair] each."""
    right, before = logits.argmax(axis=-1) == evaluated.gold, evaluated.predicted == evaluated.gold
    return before & ~right, ~before & right


def _exact_accuracy(logits: np.ndarray, evaluated: EvaluationSet) -> Ends:
    lost, won = flips(logits, evaluated)
    per_event = pairs_per_event(lost | won, evaluated.in_query)
    unmasked = (evaluated.predicted == evaluated.gold).mean()
    low, high = net_change_interval(
        lost.sum(axis=1) / per_event, won.sum(axis=1) / per_event, lost.shape[1] / per_event
    )
    return (low / unmasked, high / unmasked) if unmasked else (low * np.nan, high * np.nan)


def _exact_changed(logits: np.ndarray, evaluated: EvaluationSet) -> Ends:
    changed = logits.argmax(axis=-1) != evaluated.predicted
    per_event = pairs_per_event(changed, evaluated.in_query)
    return share_interval(changed.sum(axis=1) / per_event, changed.shape[1] / per_event)


ANY, SHARE, POSITIVE = (-np.inf, np.inf), (0.0, 1.0), (0.0, np.inf)
ACCURACY = Measure(
    "accuracy",
    "accuracy",
    "share of pairs whose predicted grade is the gold one",
    "",
    SHARE,
    "higher",
    "pair",
    True,
    *pair_mean(_right),
    is_relative=True,
    exact_interval=_exact_accuracy,
)
LOG_LOSS = Measure(
    "log_loss",
    "log loss",
    "mean negative log-likelihood of the gold grade",
    "nats",
    POSITIVE,
    "lower",
    "pair",
    True,
    *pair_mean(_log_losses),
)
LOGIT_MARGIN = Measure(
    "logit_margin",
    "logit margin",
    "mean of the gold grade's logit minus the highest of the others",
    "logits",
    ANY,
    "higher",
    "pair",
    True,
    *pair_mean(_margins),
)
QWK = Measure(
    "qwk",
    "qwk",
    "quadratic weighted kappa",
    "",
    (-1, 1),
    "higher",
    "sample",
    True,
    _kappa_moments,
    quadratic_weighted_kappa,
)
KL_DIVERGENCE = Measure(
    "kl_divergence",
    "KL divergence",
    "mean Kullback-Leibler divergence of the masked grades from the unmasked ones",
    "nats",
    POSITIVE,
    "lower",
    "pair",
    False,
    *pair_mean(kl_divergences),
)
CHANGED_PREDICTIONS = Measure(
    "changed_predictions",
    "changed predictions",
    "share of pairs whose predicted grade changes",
    "",
    SHARE,
    "lower",
    "pair",
    False,
    *pair_mean(_changed),
    exact_interval=_exact_changed,
)
MAE = Measure(
    "mae",
    "mae",
    "mean distance of predicted and gold grade",
    "grades",
    POSITIVE,
    "lower",
    "pair",
    True,
    *pair_mean(_distances),
)
NDCG_AT_10 = Measure(
    "ndcg_at_10",
    "ndcg@10",
    "NDCG of the first ten titles by expected grade, mean over queries",
    "",
    SHARE,
    "higher",
    "query",
    True,
    _gains,
    mean_of_sums,
)


def recall(grade: int) -> Measure:
    """Recall of a grade: share of its pairs that are predicted as it."""

    def values(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
        return np.where(evaluated.gold == grade, _right(logits, evaluated), np.nan)

    meaning = "share of the grade's pairs that are predicted as it"
    name = f"recall_{grade}"
    return Measure(name, f"recall of grade {grade}", meaning, "", SHARE, "higher", "pair", True, *pair_mean(values))


TESTED = (ACCURACY, LOG_LOSS, LOGIT_MARGIN, QWK, KL_DIVERGENCE, CHANGED_PREDICTIONS)  # with tests and a scale
LABEL_FREE = tuple(measure for measure in TESTED if not measure.needs_grades)
PRIMARY = tuple(measure for measure in TESTED if measure.needs_grades)  # those that may decide verdicts
BY_NAME = {measure.name: measure for measure in TESTED}


def described(grades: int) -> tuple[Measure, ...]:
    """Measures that are described with intervals, and not tested; `grades` is the number of grades."""
    return MAE, NDCG_AT_10, *(recall(grade) for grade in range(grades))


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

    @property
    def without(self) -> np.ndarray:
        """Changes without each query, [mask, query]."""
        values = self.measure.value(self.sums.sum(axis=1, keepdims=True) - self.sums)
        return self.measure.changes(values[1:], values[:1])

    def of(self, masks: np.ndarray) -> "Changes":
        """Changes of some masks, bool [mask]."""
        kept = {
            field.name: getattr(self, field.name)[masks]
            for field in fields(self)
            if field.name not in ("measure", "sums")
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
    sums = measure.statistics(rows, evaluated)
    totals = sums.sum(axis=1)
    values, left_out = measure.value(totals), measure.value(totals[:, None] - sums)  # [row], [row, query]
    changes, without = measure.changes(values[1:], values[0]), measure.changes(left_out[1:], left_out[:1])
    way = np.where(measure.harm(changes[-1]) > 0, changes[-1], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares, shares_without = changes[:-1] / way, without[:-1] / np.where(np.isnan(way), np.nan, without[-1])
    exact = measure.exact_interval(logits, evaluated) if measure.exact_interval else (changes[:-1], changes[:-1])
    exact_shares = np.minimum(*exact / way), np.maximum(*exact / way)
    any_share = POSITIVE if measure.is_distance else ANY
    drawn = measure.value(evaluated.sample.bootstrap.sums(np.moveaxis(sums[:-1], 1, 0)))  # [resample, 1 + mask]
    return Changes(
        measure,
        values[1:-1],
        changes[:-1],
        *_wider(jackknife_intervals(without[:-1], changes[:-1]), exact, measure.change_range),
        *_wider(jackknife_intervals(shares_without, shares), exact_shares, any_share),
        *_wider(jackknife_intervals(shares_without, shares, typical_part(shares_without)), exact_shares, any_share),
        resamples=measure.changes(drawn[:, 1:], drawn[:, :1]).T,
        sums=sums[:-1],
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
