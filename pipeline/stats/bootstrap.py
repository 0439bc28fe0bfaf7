"""Cluster bootstrap over queries, sign-flip tests and corrections for many tests.

Pairs of one query are alike, so queries are what is resampled. Nothing here knows what the numbers measure.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy import stats

LEVEL = 0.95  # of every interval
NORMAL = stats.norm.isf((1 - LEVEL) / 2)  # half the width of a normal one, in standard errors
SIGNIFICANCE = 0.05  # p or q below which an effect is more than chance
FEW_QUERIES = 30  # below so many the intervals are too narrow: a bootstrap of few clusters covers less than it says
POWER = 0.8
FLIPS = 20_000  # of the signs: enough that one effect among hundreds of tests is still significant


@dataclass(frozen=True)
class Bootstrap:
    """Bootstrap draws of queries with replacement. `weights`: counts of queries, float64 [draw, query]."""

    weights: np.ndarray

    def sums(self, by_query: np.ndarray) -> np.ndarray:
        """Sums in each draw [draw, ...] of numbers [query, ...]."""
        return np.tensordot(self.weights, by_query, axes=1)

    def means(self, by_query: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Means over pairs in each draw, from sums and numbers of pairs [query, ...]; NaN where a draw has no pair."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.sums(by_query) / self.sums(counts)

    def interval(self, draws: np.ndarray, units: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Interval of LEVEL over the first axis, NaN where any draw is undefined.

        Percentiles, widened for few units like a t interval against a normal one (Hesterberg 2015, "What teachers
        should know about the bootstrap", 5.3): draws of n units spread like n - 1.

        Args:
            units: number of units that were resampled, the fewest where several kinds were; None: the queries.
        """
        few = min(self.weights.shape[1], units or self.weights.shape[1])
        if few < 2:
            return np.full(draws.shape[1:], np.nan), np.full(draws.shape[1:], np.nan)
        t = stats.t.ppf((1 - LEVEL) / 2, few - 1)
        tail = stats.norm.cdf(np.sqrt(few / (few - 1)) * t)
        low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
        return low, high


def bootstrap(queries: int, draws: int, seed: int) -> Bootstrap:
    """The cluster bootstrap: as many queries as there are, drawn `draws` times (Davison and Hinkley 1997, 2.4, 3.8)."""
    if queries == 0:
        return Bootstrap(np.zeros((draws, 0)))
    rng = np.random.default_rng([seed, 3])
    return Bootstrap(rng.multinomial(queries, np.full(queries, 1 / queries), size=draws).astype(np.float64))


@dataclass(frozen=True)
class QuerySample:
    """Sample of queries: sums by query, and intervals by the cluster bootstrap.

    Attributes:
        query_ids: [pair].
        resamples: of the bootstrap.
        seed: of the bootstrap and of sign flips.
    """

    query_ids: np.ndarray
    resamples: int
    seed: int

    @property
    def queries(self) -> int:
        """Number of queries of the pairs."""
        return len(np.unique(self.query_ids))

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """Bootstrap over the queries by rising id."""
        return bootstrap(self.queries, self.resamples, self.seed)

    def by_query(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums by query of the defined values, and their numbers, [query, ...] of [pair, ...]."""
        queries, query = np.unique(self.query_ids, return_inverse=True)
        sums, counts = np.zeros((2, len(queries), *values.shape[1:]))
        np.add.at(sums, query, np.nan_to_num(values))
        np.add.at(counts, query, np.isfinite(values))
        return sums, counts

    def interval(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Interval of the mean of values [pair, ...] over the pairs that define them."""
        return self.bootstrap.interval(self.bootstrap.means(*self.by_query(values)))

    def subset(self, pairs: np.ndarray) -> Self:
        """Subset of the pairs, by index or bool [pair]."""
        return type(self)(self.query_ids[pairs], self.resamples, self.seed)


def jackknife_intervals(
    left_out: np.ndarray, estimates: np.ndarray, unseen: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Student's t intervals [mask] of estimates, their standard errors by the jackknife over queries (Tukey 1958).

    Where few queries hold most of a change, its variance is known as little as that of few: the degrees of freedom are
    those of the variance itself, 2 n / (kurtosis - 1), at most n - 1 (Satterthwaite 1946, An approximate distribution
    of estimates of variance components, Biometrics Bulletin 2). On the side of the longer tail the interval reaches
    further by its skewness (Johnson 1978, Modified t tests, JASA 73).

    Args:
        left_out: the estimates without each query, [mask, query]; NaN where undefined, and so is the interval then.
        estimates: from all, [mask].
        unseen: part of one more query that the sample may have missed, see `typical_part`.
    """
    queries = left_out.shape[-1]
    if queries < 2:
        return np.full(estimates.shape, np.nan), np.full(estimates.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = left_out.mean(axis=-1, keepdims=True) - left_out
        tail = (parts**3).sum(axis=-1) / (parts**2).sum(axis=-1) * (1 + 2 * NORMAL**2) / 6
        squares, fourths = (parts**2).sum(axis=-1) + unseen**2, (parts**4).sum(axis=-1) + unseen**4
        freedom = np.fmin(2 * queries / (queries * fourths / squares**2 - 1), queries - 1)
    width = stats.t.isf((1 - LEVEL) / 2, freedom) * np.sqrt(squares * (queries - 1) / queries)
    return estimates - width + np.fmin(tail, 0), estimates + width + np.fmax(tail, 0)


def typical_part(left_out: np.ndarray) -> float:
    """Part of a query in an estimate, weighted by variance, its root mean square over the masks; see above.

    An interval that allows for one more such query reaches 4.3 parts beyond an estimate without any, somewhat further
    than the rule of three; the more queries hold a change, the less one more of them matters.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = left_out - left_out.mean(axis=-1, keepdims=True)
        sizes = (np.abs(parts) ** 3).sum(axis=-1) / (parts**2).sum(axis=-1)
    return float(np.sqrt(np.mean(np.nan_to_num(sizes) ** 2))) if len(sizes) else 0.0


def estimate_columns(name: str, values: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of an estimate and of its interval's ends, laid flat."""
    return {name: values.ravel(), f"{name}_low": low.ravel(), f"{name}_high": high.ravel()}


def query_indicator(query_ids: np.ndarray) -> np.ndarray:
    """Indicator matrix of queries, float64 [pair, query], by rising id; values @ it are sums."""
    queries, query = np.unique(query_ids, return_inverse=True)
    return (query[:, None] == np.arange(len(queries))).astype(np.float64)


def titles_by_query(query_ids: np.ndarray) -> list[np.ndarray]:
    """Pairs of each query, [title] each, by rising query id."""
    order = np.argsort(query_ids, kind="stable")
    _, starts = np.unique(query_ids[order], return_index=True)
    return np.split(order, starts[1:])


def equivalent(low: np.ndarray | float, high: np.ndarray | float, margin: float | np.ndarray) -> np.ndarray:
    """Equivalence test: whether an interval lies within -margin..margin."""
    return (np.asarray(low) >= -margin) & (np.asarray(high) <= margin)


def sign_flips(differences: np.ndarray, seed: int) -> np.ndarray:
    """Sign-flip test: two-sided p-values of paired differences [test, query] with random signs of queries.

    The statistic is their sum; p = (1 + draws at least as far from 0) / (1 + draws), so never 0 (Phipson and Smyth
    2010). Queries without a difference do not matter.
    """
    signs = np.random.default_rng([seed, 4]).choice(
        np.array([-1, 1], dtype=np.float32), size=(differences.shape[-1], FLIPS)
    )
    p = [(1 + (np.abs(row @ signs) >= abs(row.sum()) * (1 - 1e-5)).sum()) / (1 + FLIPS) for row in differences]
    return np.array(p)


def q_values(p: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values (1995); NaN stays NaN and does not count."""
    q, tested = np.full(p.shape, np.nan), np.isfinite(p)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested])
    return q


def tail(value: float, draws: np.ndarray) -> float:
    """Lower-tail p-value against random draws: (1 + draws as low as the value) / (1 + draws)."""
    return float((1 + (draws <= value).sum()) / (1 + len(draws)))


def percentile(value: float, draws: np.ndarray) -> float:
    """Percentile rank of the value among the draws, 0 to 1; ties count half."""
    return float(((draws < value).sum() + (draws == value).sum() / 2) / len(draws)) if len(draws) else np.nan


def half_of_queries(queries: np.ndarray, seed: int) -> np.ndarray:
    """Whether a pair's query is in the random half of the queries, bool [pair]; the larger half of an odd number.

    Args:
        queries: each pair's query id, int [pair].
    """
    ids = np.unique(queries)
    chosen = np.random.default_rng([seed, 11]).permutation(ids)[: (len(ids) + 1) // 2]
    return np.isin(queries, chosen)


def sample_queries(queries: np.ndarray, max_pairs: int, seed: int) -> np.ndarray:
    """Sample of the rows of whole random queries, at most `max_pairs` of them; one query alone may exceed it.

    Args:
        queries: each pair's query id, int [pair]; rows of one query need not be adjacent.

    Returns:
        Sorted row numbers, int64 [row]: all of them where they fit.
    """
    if len(queries) <= max_pairs:
        return np.arange(len(queries))
    _, numbers, sizes = np.unique(queries, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    fits = np.cumsum(sizes[order]) <= max_pairs
    fits[0] = True
    return np.flatnonzero(np.isin(numbers, order[fits]))
