"""Tests of a masked against the unmasked model on the same queries, for every kind of measure.

Without an effect a query's masked and unmasked predictions could be swapped: that is the null of every test but the one
of distances from the unmasked predictions, which are 0 only where nothing changes at all.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from pipeline.stats.bootstrap import FLIPS, LEVEL, POWER, SIGNIFICANCE, q_values, sign_flips
from pipeline.stats.measures import Changes

SWAPS_AT_ONCE = 2_000  # random swaps held in memory together


def change_p_values(changes: Changes, margin: float, seed: int) -> np.ndarray:
    """P-values [mask] of a measure's changes, by the test that suits the measure.

    - Distances from the unmasked predictions: whether they exceed `margin`, one-sided, see `exceeds`.
    - Means: sign flips per query, exact for counts.
    - Others: random swaps per query, see `swap`.
    """
    unmasked, masked = changes.sums[0], changes.sums[1:]
    if changes.measure.is_distance:
        return exceeds(masked, margin)
    if not changes.measure.is_mean:
        return swap(unmasked, masked, changes.measure.value, seed)
    differences = masked[..., 0] - unmasked[..., 0]  # [mask, query]
    if np.array_equal(differences, differences.round()):
        return np.array([exact_sign_flips(row) for row in differences.astype(int)])
    return sign_flips(differences.astype(np.float32), seed)


def exact_sign_flips(differences: np.ndarray) -> float:
    """Exact two-sided p-value of whole differences [query] under all 2^queries signs, by convolution."""
    sizes = np.abs(differences[differences != 0])
    distribution = np.ones(1)  # of the sum, by steps of 1 from -total to total
    for size in sizes:
        distribution = np.convolve(distribution, np.bincount([0, 2 * size]) / 2)
    total = int(sizes.sum())
    far = np.abs(np.arange(-total, total + 1)) >= abs(int(differences.sum()))
    return float(min(1.0, distribution[far].sum()))


def swap(unmasked: np.ndarray, masked: np.ndarray, value: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
    """P-values [mask] of a function of sums, masked and unmasked predictions of each query swapped at random.

    p = (1 + swaps that differ as much) / (1 + swaps), as `sign_flips`.

    Args:
        unmasked: statistics by query, [query, statistic]; masked: [mask, query, statistic].
        value: of statistics summed over queries, see `Measure.value`.
    """
    swapped = np.random.default_rng([seed, 4]).integers(0, 2, size=(FLIPS, len(unmasked)))
    p = np.empty(len(masked))
    for number, row in enumerate(masked):
        observed, far = abs(value(row.sum(axis=0)) - value(unmasked.sum(axis=0))), 0
        queries = np.flatnonzero((row != unmasked).any(axis=1))
        moved = (row - unmasked)[queries]
        for start in range(0, FLIPS, SWAPS_AT_ONCE):
            exchanged = swapped[start : start + SWAPS_AT_ONCE, queries].astype(np.float64) @ moved  # [swap, statistic]
            change = value(row.sum(axis=0) - exchanged) - value(unmasked.sum(axis=0) + exchanged)
            far += int((np.abs(change) >= observed * (1 - 1e-9)).sum())
        p[number] = (1 + far) / (1 + FLIPS) if np.isfinite(observed) else np.nan
    return p


def exceeds(sums: np.ndarray, margin: float) -> np.ndarray:
    """One-sided p-values [mask] that a mean exceeds `margin`: t tests over queries.

    Args:
        sums: sum and number of what it is a mean of, by query, [mask, query, 2].
    """
    excess = sums[..., 0] - margin * sums[..., 1]  # [mask, query]
    queries = excess.shape[1]
    if queries < 2:
        return np.ones(len(excess))
    spread = excess.std(axis=1, ddof=1) * np.sqrt(queries)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = stats.t.sf(excess.sum(axis=1) / spread, queries - 1)
    return np.where(np.isnan(p), 1.0, p)  # nothing changes in any query


def detectable(changes: Changes, p: np.ndarray, margin: float) -> np.ndarray:
    """Smallest true changes [mask] that would be declared with probability POWER, in the measure's unit.

    Declared is what the verdict asks for: significance after correction for all tests, with as many others declared
    as here (Benjamini and Hochberg), and an interval wholly beyond `margin`.
    """
    tests, declared = np.isfinite(p).sum(), (q_values(p) < SIGNIFICANCE).sum()
    level = SIGNIFICANCE * min(1.0, (1 + declared) / max(1, tests))
    error = changes.resamples.std(axis=1, ddof=1)
    power = stats.norm.ppf(POWER)
    significant, beyond = stats.norm.isf(level / 2) * error, margin + stats.norm.isf((1 - LEVEL) / 2) * error
    return np.maximum(significant, beyond) + power * error
