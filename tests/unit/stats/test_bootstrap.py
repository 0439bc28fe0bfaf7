import numpy as np
import pytest
from scipy import stats

from pipeline.stats.bootstrap import (
    QuerySample,
    bootstrap,
    equivalent,
    jackknife_intervals,
    percentile,
    q_values,
    sign_flips,
    tail,
    typical_part,
)


def test_each_draw_holds_as_many_queries_as_there_are():
    weights = bootstrap(7, 500, seed=0).weights
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)
    assert np.array_equal(weights, bootstrap(7, 500, seed=0).weights)
    assert not np.array_equal(weights, bootstrap(7, 500, seed=1).weights)


def test_means_weigh_queries_by_their_pairs():
    drawn = bootstrap(3, 100, seed=0)
    sums, counts = np.array([2.0, 0.0, 9.0]), np.array([1.0, 2.0, 3.0])
    for row, mean in zip(drawn.weights, drawn.means(sums, counts), strict=True):
        pairs = np.repeat(np.arange(3), (row * counts).astype(int))
        assert mean == pytest.approx((sums / counts)[pairs].mean())


def test_a_sample_sums_defined_values_by_query_and_a_part_of_it_has_its_own_bootstrap():
    sample = QuerySample(np.array([7, 2, 7, 2, 9]), 100, seed=0)
    sums, counts = sample.by_query(np.array([[1.0, 5.0], [2.0, np.nan], [3.0, 5.0], [4.0, 1.0], [np.nan, 2.0]]))
    assert sums.tolist() == [[6, 1], [4, 10], [0, 2]]  # queries 2, 7, 9
    assert counts.tolist() == [[2, 1], [2, 2], [0, 1]]
    assert np.array_equal(sample.bootstrap.weights, bootstrap(3, 100, seed=0).weights)
    part = sample.subset(np.array([True, False, True, True, False]))
    assert (part.queries, part.query_ids.tolist()) == (2, [7, 7, 2])
    assert np.array_equal(part.bootstrap.weights, bootstrap(2, 100, seed=0).weights)


def test_intervals_are_percentiles_and_undefined_draws_leave_them_undefined():
    low, high = bootstrap(10_000, 1, seed=0).interval(np.arange(1001.0)[:, None] * [1, np.nan])
    assert (low[0], high[0]) == pytest.approx((25, 975), abs=0.1)
    assert np.isnan([low[1], high[1]]).all()


def test_with_few_queries_an_interval_is_as_wide_as_students():
    rng = np.random.default_rng(0)
    values = rng.normal(size=12)
    drawn = bootstrap(12, 200_000, seed=0)
    low, high = drawn.interval(drawn.means(values, np.ones(12)))
    expected = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert high - low == pytest.approx(expected[1] - expected[0], rel=0.04)
    assert np.isnan(bootstrap(1, 10, seed=0).interval(np.zeros((10, 2)))[0]).all()


def leave_one_out(values: np.ndarray) -> np.ndarray:
    """Means without each of the values, [mask, query]."""
    return (values.sum(axis=-1, keepdims=True) - values) / (values.shape[-1] - 1)


def test_a_jackknife_interval_of_a_mean_is_students_where_nothing_is_rare():
    values = np.array([-1.0, 1.0] * 20)[None]  # kurtosis 1, no skewness
    low, high = jackknife_intervals(leave_one_out(values), values.mean(axis=-1))
    expected = stats.t.interval(0.95, 39, loc=0, scale=stats.sem(values[0]))
    assert (low[0], high[0]) == pytest.approx(expected)


def test_one_query_that_holds_all_of_a_change_leaves_two_degrees_of_freedom_and_a_longer_side():
    values = np.zeros((1, 5000))
    values[0, 7] = 5000.0  # a mean of 1 that one query makes
    low, high = jackknife_intervals(leave_one_out(values), values.mean(axis=-1))
    reach = stats.t.isf(0.025, 2)  # its standard error is 1
    assert low[0] == pytest.approx(1 - reach, rel=1e-3)
    assert high[0] == pytest.approx(1 + reach + (1 + 2 * 1.96**2) / 6, rel=1e-3)


def test_a_query_that_was_not_seen_counts_as_much_as_its_part():
    quiet, loud = np.zeros(5000), np.zeros(5000)
    loud[7] = 5000.0
    without = leave_one_out(np.stack([quiet, loud]))
    assert typical_part(without) == pytest.approx(np.sqrt((0**2 + 1**2) / 2), rel=1e-3)
    assert np.abs(jackknife_intervals(without, np.array([0.0, 1.0]))[1][0]) == 0
    low, high = jackknife_intervals(without, np.array([0.0, 1.0]), unseen=1.0)
    assert (-low[0], high[0]) == pytest.approx((stats.t.isf(0.025, 2),) * 2, rel=1e-3)
    assert high[0] > stats.binomtest(0, 5000).proportion_ci(0.95, "exact").high * 5000  # more than nothing seen allows


def test_intervals_of_one_query_or_of_undefined_values_are_undefined():
    assert np.isnan(jackknife_intervals(np.zeros((2, 1)), np.zeros(2))).all()
    assert np.isnan(jackknife_intervals(np.array([[1.0, np.nan, 2.0]]), np.zeros(1))).all()
    assert typical_part(np.zeros((0, 4))) == 0
    assert typical_part(np.zeros((3, 1))) == 0


def test_an_interval_of_nothing_has_no_width():
    assert np.array_equal(jackknife_intervals(np.zeros((1, 9)), np.zeros(1)), np.zeros((2, 1)))


def test_sign_flips_come_near_the_exact_test():
    rng = np.random.default_rng(5)
    differences = rng.normal(0.3, 1, (4, 9)).astype(np.float32)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 9)).reshape(9, -1)
    exact = (np.abs(differences @ signs) >= np.abs(differences.sum(1))[:, None] - 1e-5).mean(axis=1)
    assert sign_flips(differences, seed=0) == pytest.approx(exact, abs=0.015)


def test_sign_flips_without_a_difference_find_nothing():
    assert sign_flips(np.zeros((1, 5), dtype=np.float32), seed=0).tolist() == [1.0]


def test_q_values_are_scipys_and_leave_out_the_undefined():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    assert q_values(p)[[0, 2, 3]] == pytest.approx(stats.false_discovery_control(p[[0, 2, 3]]))
    assert np.isnan(q_values(p)[1])
    assert np.isnan(q_values(np.array([np.nan]))).all()


def test_equivalence_needs_the_whole_interval():
    assert equivalent(np.array([-0.01, -0.03, -0.01]), np.array([0.01, 0.01, 0.03]), 0.02).tolist() == [1, 0, 0]


def test_tail_and_percentile_by_hand():
    draws = np.array([-0.5, -0.1, 0.0, 0.1])
    assert tail(-0.6, draws) == 1 / 5
    assert tail(-0.1, draws) == 3 / 5
    assert percentile(-0.1, draws) == 1.5 / 4
    assert np.isnan(percentile(0.0, np.array([])))
