"""Tests of paired changes against scipy's and against every swap there is."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.stats.bootstrap import QuerySample, q_values
from pipeline.stats.grading_measures import ACCURACY, CHANGED_PREDICTIONS, KL_DIVERGENCE, LOG_LOSS, QWK
from pipeline.stats.measures import EvaluationSet, measure_changes
from pipeline.stats.metrics import kappa_moments, quadratic_weighted_kappa
from pipeline.stats.paired_tests import change_p_values, detectable, exact_sign_flips, exceeds, swap


def every_sign(queries: int) -> np.ndarray:
    return np.array(list(product([-1, 1], repeat=queries)))


@given(differences=st.lists(st.integers(-5, 5), max_size=11))
@settings(deadline=None)
def test_exact_sign_flips_are_the_enumeration_of_all_signs(differences):
    counts = np.array(differences, dtype=int)
    sums = every_sign(len(counts)) @ counts
    assert exact_sign_flips(counts) == pytest.approx((np.abs(sums) >= abs(counts.sum())).mean())


def test_exact_sign_flips_are_scipys_permutation_test():
    differences = np.array([3, -1, 2, 2, 0, 1, -2, 4])
    theirs = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert exact_sign_flips(differences) == pytest.approx(theirs.pvalue)


@given(lost=st.integers(0, 200), won=st.integers(0, 200))
@settings(deadline=None)
def test_of_one_pair_a_query_exact_sign_flips_are_the_binomial_test(lost, won):
    expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert exact_sign_flips(np.array([-1] * lost + [1] * won + [0] * 3)) == pytest.approx(expected)


def test_swaps_come_near_the_enumeration_of_all_swaps():
    rng = np.random.default_rng(0)
    queries, pairs, masks = 9, 6, 3
    grades, before = rng.integers(0, 4, (2, queries * pairs))
    after = np.where(rng.random((masks, queries * pairs)) < 0.4, rng.integers(0, 4, (masks, queries * pairs)), before)

    def moments(predicted):
        return kappa_moments(grades, predicted).reshape(*predicted.shape[:-1], queries, pairs, -1).sum(axis=-2)

    exact = []
    for mask in moments(after):
        changes = []
        for swapped in product([False, True], repeat=queries):
            chosen = np.array(swapped)[:, None]
            one, other = np.where(chosen, moments(before), mask), np.where(chosen, mask, moments(before))
            changes.append(quadratic_weighted_kappa(one.sum(axis=0)) - quadratic_weighted_kappa(other.sum(axis=0)))
        exact.append((np.abs(changes) >= abs(changes[0]) - 1e-12).mean())
    assert swap(moments(before), moments(after), quadratic_weighted_kappa, seed=0) == pytest.approx(exact, abs=0.015)


def test_a_swap_of_equal_predictions_finds_nothing_and_an_undefined_value_has_no_test():
    same = kappa_moments(np.array([0, 1, 2]), np.array([0, 1, 1]))[:, None].sum(axis=1)
    assert swap(same, same[None], quadratic_weighted_kappa, seed=0).tolist() == [1.0]
    constant = kappa_moments(np.array([1, 1]), np.array([1, 1]))
    assert np.isnan(swap(constant, constant[None], quadratic_weighted_kappa, seed=0)).all()


@given(seed=st.integers(0, 200), queries=st.integers(2, 30))
@settings(deadline=None, max_examples=30)
def test_exceeding_a_margin_is_students_one_sided_test_of_the_queries(seed, queries):
    rng = np.random.default_rng(seed)
    sums, counts = rng.exponential(1, (3, queries)), np.full((3, queries), 4.0)
    found = exceeds(np.stack([sums, counts], axis=-1), 0.2)
    theirs = stats.ttest_1samp(sums / counts, 0.2, axis=1, alternative="greater").pvalue
    assert found == pytest.approx(theirs)


def test_nothing_exceeds_a_margin_in_one_query_or_without_a_change():
    assert exceeds(np.array([[[5.0, 1.0]]]), 0.1).tolist() == [1.0]
    assert exceeds(np.array([[[0.0, 2.0]] * 4]), 0.0).tolist() == [1.0]


def evaluated(pairs: int = 40) -> tuple[np.ndarray, EvaluationSet]:
    rng = np.random.default_rng(2)
    unmasked, noise = rng.normal(0, 1, (pairs, 3)), rng.normal(0, 0.7, (4, pairs, 3))
    grades = rng.integers(0, 3, pairs)
    return unmasked + noise, EvaluationSet(grades, unmasked, QuerySample(np.arange(pairs) // 4, 200, 0))


@pytest.mark.parametrize("measure", [ACCURACY, LOG_LOSS])
def test_means_are_tested_by_the_signs_of_all_queries(measure):
    logits, pairs = evaluated()
    changes = measure_changes(measure, logits, pairs)
    differences = changes.sums[1:, :, 0] - changes.sums[0, :, 0]  # of 10 queries
    sums = differences @ every_sign(10).T
    exact = (np.abs(sums) >= np.abs(differences.sum(axis=1))[:, None] - 1e-9).mean(axis=1)
    tolerance = 1e-9 if measure is ACCURACY else 0.015
    assert change_p_values(changes, 0.0, seed=0) == pytest.approx(exact, abs=tolerance)


@pytest.mark.parametrize("measure", [KL_DIVERGENCE, CHANGED_PREDICTIONS])
def test_distances_are_tested_against_the_margin(measure):
    logits, pairs = evaluated()
    changes = measure_changes(measure, logits, pairs)
    by_query = changes.sums[1:, :, 0] / 4
    theirs = stats.ttest_1samp(by_query, 0.1, axis=1, alternative="greater").pvalue
    assert change_p_values(changes, 0.1, seed=0) == pytest.approx(theirs)


def test_samples_are_tested_by_swaps():
    logits, pairs = evaluated()
    changes = measure_changes(QWK, logits, pairs)
    expected = swap(changes.sums[0], changes.sums[1:], quadratic_weighted_kappa, seed=0)
    assert np.array_equal(change_p_values(changes, 0.0, seed=0), expected)


@pytest.mark.parametrize(("margin", "tests"), [(0.0, 1), (0.02, 1), (0.0, 40)])
def test_the_detectable_change_is_declared_with_its_power(margin, tests):
    """Planted in a thousand samples of normal changes, tested beside others without effect."""
    rng = np.random.default_rng(0)
    queries = 400
    logits, pairs = evaluated()
    drawn = rng.normal(0, 1 / np.sqrt(queries), (tests, 20_000))
    changes = measure_changes(LOG_LOSS, logits[:1], pairs)
    resampled = type(changes)(**{**vars(changes), "resamples": drawn})
    effect = detectable(resampled, np.full(tests, 0.5), margin)[0]
    error = drawn[0].std(ddof=1)
    estimates = rng.normal(effect, error, 1000)
    p = stats.norm.sf(np.abs(estimates) / error) * 2
    others = rng.random((1000, tests - 1))
    q = np.array([q_values(np.append(one, rest))[0] for one, rest in zip(p, others, strict=True)])
    declared = (q < 0.05) & (estimates - 1.96 * error > margin)
    assert declared.mean() == pytest.approx(0.8, abs=0.04)
