"""Exact intervals of shares and net changes of predictions, for few discordant pairs.

An interval of a mean over pairs of which none or few change has no or too little width: what was not seen does not
count. Exact intervals know how much may have been missed.

Pairs of a query are alike, so that many change as one: what is counted is events, not pairs. The sample has as many as
it would have at its design effect (Korn and Graubard 1998, Confidence intervals for proportions with small expected
number of positive counts estimated from survey data, Survey Methodology 24).
"""

import numpy as np
from scipy.stats import beta

from pipeline.stats.bootstrap import LEVEL

FEW = 5  # events; with more the intervals of means hold what they say
TAIL = (1 - LEVEL) / 2


def size_per_event(sizes: np.ndarray, in_query: np.ndarray) -> float:
    """Mean size of an event, the changes of a query together, weighted by size; over the masks that change few pairs.

    Weighted, since few large events make a sum as uncertain as few events do. Masks that change many pairs, unless all
    do, do not count: their events are not the rare ones of the others.

    Args:
        sizes: at least 0, 0 where a pair does not change, [mask, pair]. in_query: [pair, query], see
            `query_indicator`.

    Returns:
        In the unit of the sizes; NaN where nothing changes.
    """
    few = (sizes > 0).sum(axis=1) <= FEW
    by_query = sizes[few if sizes[few].any() else slice(None)] @ in_query
    return float((by_query**2).sum() / by_query.sum()) if by_query.any() else np.nan


def pairs_per_event(changed: np.ndarray, in_query: np.ndarray) -> float:
    """`size_per_event` of changed pairs, bool [mask, pair]; 1 where nothing changes."""
    return float(np.nan_to_num(size_per_event(changed.astype(np.float64), in_query), nan=1.0))


def share_interval(events: np.ndarray, all_events: float) -> tuple[np.ndarray, np.ndarray]:
    """Clopper and Pearson's interval (1934) of the share of events; NaN for more than FEW.

    Args:
        events: need not be whole, [mask]. all_events: those that the sample has room for.
    """
    low, high = beta.ppf(TAIL, events, all_events - events + 1), beta.ppf(1 - TAIL, events + 1, all_events - events)
    low, high = np.where(events == 0, 0.0, low), np.where(events >= all_events, 1.0, high)
    return np.where(events <= FEW, low, np.nan), np.where(events <= FEW, high, np.nan)


def net_change_interval(lost: np.ndarray, won: np.ndarray, all_events: float) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of the net change (won - lost) / all_events; NaN for more than FEW events.

    The net change is discordant share * (2 * share of it that is won - 1); both shares have Clopper and Pearson's
    interval, and the net change the ends that they allow.

    Args:
        lost, won: events for the worse and for the better, [mask]. all_events: see `share_interval`.
    """
    discordant = lost + won
    share_low, share_high = share_interval(discordant, all_events)
    with np.errstate(invalid="ignore"):
        won_low = np.where(won == 0, 0.0, beta.ppf(TAIL, won, lost + 1))
        won_high = np.where(lost == 0, 1.0, beta.ppf(1 - TAIL, won + 1, lost))
    worst, best = 2 * won_low - 1, 2 * won_high - 1
    return np.where(worst < 0, share_high, share_low) * worst, np.where(best > 0, share_high, share_low) * best
