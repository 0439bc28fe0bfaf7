"""Exact intervals of shares and net changes of predictions, for few discordant pairs.

A bootstrap of pairs of which none or few change has an interval of no or too little width: what was not seen cannot be
drawn. Exact intervals know how much may have been missed.
"""

import numpy as np
from scipy.stats import beta

from pipeline.stats.bootstrap import LEVEL

FEW = 40  # changed pairs; with more the bootstrap holds what it says
TAIL = (1 - LEVEL) / 2


def pairs_per_event(changed: np.ndarray, in_query: np.ndarray) -> float:
    """Mean number of a query's pairs that change together, over all masks and queries with any; at least 1.

    Pairs of a query are alike, so that many change as one: an exact interval counts events, not pairs.

    Args:
        changed: bool [mask, pair]. in_query: [pair, query], see `query_indicator`.
    """
    by_query = changed @ in_query
    return float(by_query[by_query > 0].mean()) if by_query.any() else 1.0


def share_interval(counts: np.ndarray, pairs: int, per_event: float) -> tuple[np.ndarray, np.ndarray]:
    """Clopper and Pearson's interval (1934) of the share of pairs that change; NaN for more than FEW.

    Args:
        counts: changed pairs [mask]. pairs: all. per_event: see `pairs_per_event`.
    """
    events, all_events = counts / per_event, pairs / per_event
    low, high = beta.ppf(TAIL, events, all_events - events + 1), beta.ppf(1 - TAIL, events + 1, all_events - events)
    few = counts <= FEW
    with np.errstate(invalid="ignore"):
        low, high = np.where(counts == 0, 0.0, low), np.where(events >= all_events, 1.0, high)
    return np.where(few, low, np.nan), np.where(few, high, np.nan)


def net_change_interval(
    lost: np.ndarray, won: np.ndarray, pairs: int, per_event: float
) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of the net change (won - lost) / pairs; NaN for more than FEW changed pairs.

    The net change is discordant share * (2 * share of it that is won - 1); both shares have Clopper and Pearson's
    interval, and the net change the ends that they allow.

    Args:
        lost, won: pairs right to wrong and wrong to right, [mask].
    """
    discordant = lost + won
    share_low, share_high = share_interval(discordant, pairs, per_event)
    events, gained = discordant / per_event, won / per_event
    with np.errstate(invalid="ignore"):
        won_low = np.where(won == 0, 0.0, beta.ppf(TAIL, gained, events - gained + 1))
        won_high = np.where(lost == 0, 1.0, beta.ppf(1 - TAIL, gained + 1, events - gained))
    worst, best = 2 * won_low - 1, 2 * won_high - 1
    return np.where(worst < 0, share_high, share_low) * worst, np.where(best > 0, share_high, share_low) * best
