"""Exact intervals against scipy's binomial test, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.stats.bootstrap import query_indicator
from pipeline.stats.discordance import FEW, net_change_interval, pairs_per_event, share_interval


@given(count=st.integers(0, FEW), more=st.integers(0, 500))
def test_shares_have_clopper_and_pearsons_interval(count, more):
    pairs = max(1, count + more)
    expected = stats.binomtest(count, pairs).proportion_ci(0.95, "exact")
    low, high = share_interval(np.array([count]), pairs)
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))


@given(lost=st.integers(0, FEW), won=st.integers(0, FEW), more=st.integers(1, 500))
def test_net_changes_have_the_ends_that_both_shares_allow(lost, won, more):
    pairs = lost + won + more
    low, high = net_change_interval(np.array([lost]), np.array([won]), pairs)
    if lost + won > FEW:
        assert np.isnan([low[0], high[0]]).all()
        return
    discordant = stats.binomtest(lost + won, pairs).proportion_ci(0.95, "exact")
    gains = stats.binomtest(won, lost + won).proportion_ci(0.95, "exact") if lost + won else None
    shares = (gains.low, gains.high) if gains else (0.0, 1.0)
    ends = [share * (2 * gain - 1) for share in discordant for gain in shares]
    assert (low[0], high[0]) == pytest.approx((min(ends), max(ends)))
    assert low[0] <= (won - lost) / pairs <= high[0]


def test_many_events_have_no_exact_interval():
    assert np.isnan(share_interval(np.array([FEW + 1]), 500.0)).all()
    assert share_interval(np.array([3.0]), 3.0)[1] == 1


def test_pairs_per_event_by_hand():
    in_query = query_indicator(np.array([0, 0, 0, 1, 1, 2]))
    together = np.array([[True, True, True, False, False, True]])  # 3 in query 0, 1 in query 2
    assert pairs_per_event(together, in_query) == (3 * 3 + 1 * 1) / 4
    assert pairs_per_event(together & False, in_query) == 1


def test_pairs_per_event_leave_out_masks_that_change_much():
    in_query = query_indicator(np.repeat(np.arange(20), 4))
    alone, every = np.arange(80) % 8 == 0, np.ones(80, dtype=bool)
    assert pairs_per_event(np.stack([alone & (np.arange(80) < 40), every]), in_query) == 1
    assert pairs_per_event(every[None], in_query) == 4
