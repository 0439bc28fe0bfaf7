"""Measures against scikit-learn and scipy, and against values worked by hand where those have none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import rel_entr, softmax
from sklearn.metrics import cohen_kappa_score, log_loss, mean_absolute_error, ndcg_score, recall_score

from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.grading_measures import (
    ACCURACY,
    CHANGED_PREDICTIONS,
    KL_DIVERGENCE,
    LOG_LOSS,
    LOGIT_MARGIN,
    MAE,
    NDCG_AT_10,
    QWK,
    described,
    recall,
)
from pipeline.stats.measure_sets import GRADER
from pipeline.stats.measures import PRIOR_COUNT, EvaluationSet, Measure, measure_changes, measure_scales, point_changes

MASKS = 3


def predictions(seed: int, pairs: int = 60, count: int = 4, queries: int = 10) -> tuple[np.ndarray, EvaluationSet]:
    """Logits under masks, and pairs of which every grade and every query has some."""
    rng = np.random.default_rng(seed)
    logits, grades = rng.normal(0, 2, (1 + MASKS, pairs, count)), rng.integers(0, count, pairs)
    grades[:count] = range(count)
    query_ids = np.append(np.arange(queries), rng.integers(0, queries, pairs - queries))
    return logits[1:], EvaluationSet(grades, logits[0], QuerySample(query_ids, 100, seed=0))


def sklearns(measure: Measure, logits: np.ndarray, pairs: EvaluationSet) -> float:
    grades, predicted, shares = pairs.gold, logits.argmax(axis=-1), softmax(logits, axis=-1)
    labels, before = np.arange(logits.shape[-1]), softmax(pairs.unmasked_logits, axis=-1)
    others = [np.delete(row, grade).max() for row, grade in zip(logits, grades, strict=True)]
    values = {
        ACCURACY: (predicted == grades).mean(),
        LOG_LOSS: log_loss(grades, shares, labels=labels),
        LOGIT_MARGIN: np.mean(logits[np.arange(len(grades)), grades] - others),
        QWK: cohen_kappa_score(grades, predicted, weights="quadratic", labels=labels),
        MAE: mean_absolute_error(grades, predicted),
        KL_DIVERGENCE: np.mean([stats.entropy(p, q) for p, q in zip(before, shares, strict=True)]),
        CHANGED_PREDICTIONS: (predicted != pairs.unmasked_logits.argmax(axis=-1)).mean(),
    }
    return float(values[measure])


@pytest.mark.parametrize("measure", [*GRADER.tested, MAE], ids=lambda measure: measure.name)
@given(seed=st.integers(0, 500), pairs=st.integers(12, 50), count=st.integers(2, 6))
@settings(deadline=None, max_examples=8)
def test_values_and_changes_equal_scikit_learns_and_scipys(measure, seed, pairs, count):
    logits, evaluated = predictions(seed, pairs, count)
    found = measure_changes(measure, logits, evaluated)
    values = np.array([sklearns(measure, one, evaluated) for one in logits])
    unmasked = sklearns(measure, evaluated.unmasked_logits, evaluated)
    expected = values / unmasked - 1 if measure is ACCURACY and unmasked else values - unmasked
    assert found.values == pytest.approx(values)
    if measure is ACCURACY and not unmasked:
        assert np.isnan(found.changes).all()
    else:
        assert found.changes == pytest.approx(expected)
    assert point_changes(measure, logits, evaluated) == pytest.approx(found.changes, nan_ok=True)


def test_kl_divergence_is_of_the_unmasked_from_the_masked_grades():
    before, after = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.5, 0.25])
    pairs = EvaluationSet(None, np.log(before)[None], QuerySample(np.zeros(1, int), 10, 0))
    found = measure_changes(KL_DIVERGENCE, np.log(after)[None, None], pairs)
    assert found.changes[0] == pytest.approx(0.5 * np.log(2) - 0.25 * np.log(2))
    assert found.changes[0] == pytest.approx(rel_entr(before, after).sum())


def test_ndcg_is_the_mean_of_scikit_learns_over_queries():
    logits, pairs = predictions(0, pairs=80, queries=5)
    found = measure_changes(NDCG_AT_10, logits, pairs)
    of_query = [pairs.sample.query_ids == query for query in range(5)]
    for number, one in enumerate(logits):
        expected = (softmax(one, axis=-1) @ np.arange(4)).round(5)
        gains = [ndcg_score([2.0 ** pairs.gold[rows] - 1], [expected[rows]], k=10) for rows in of_query]
        assert found.values[number] == pytest.approx(np.mean(gains))


def test_recalls_are_scikit_learns_and_one_for_every_grade():
    logits, pairs = predictions(1)
    theirs = [recall_score(pairs.gold, one.argmax(-1), labels=range(4), average=None) for one in logits]
    found = [measure_changes(recall(grade), logits, pairs).values for grade in range(4)]
    assert np.transpose(found) == pytest.approx(np.array(theirs))
    assert [measure.name for measure in described(4)] == [
        "mae",
        "ndcg_at_10",
        *(f"recall_{grade}" for grade in range(4)),
    ]


def test_statistics_sum_to_the_whole_whatever_the_order_of_the_pairs():
    logits, pairs = predictions(2)
    order = np.random.default_rng(0).permutation(len(pairs.gold))
    for measure in (*GRADER.tested, *described(4)):
        whole = measure_changes(measure, logits, pairs)
        shuffled = measure_changes(measure, logits[:, order], pairs.subset(order))
        assert shuffled.changes == pytest.approx(whole.changes)
        assert shuffled.low == pytest.approx(whole.low, nan_ok=True)
        assert shuffled.high == pytest.approx(whole.high, nan_ok=True)


def test_the_constant_grader_knows_the_grades_shares_alone():
    pairs = EvaluationSet(np.array([0, 0, 1, 0]), np.zeros((4, 3)), QuerySample(np.arange(4), 10, 0))
    shares = (np.array([3, 1, 0]) + PRIOR_COUNT) / (4 + 3 * PRIOR_COUNT)
    assert softmax(pairs.constant_logits, axis=-1) == pytest.approx(np.tile(shares, (4, 1)))
    ungraded = EvaluationSet(None, np.log([[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]]), QuerySample(np.arange(2), 10, 0))
    shares = (np.array([0.6, 1.0, 0.4]) + PRIOR_COUNT) / (2 + 3 * PRIOR_COUNT)
    assert softmax(ungraded.constant_logits, axis=-1) == pytest.approx(np.tile(shares, (2, 1)))
    with pytest.raises(ValueError, match="needs grades"):
        ungraded.gold  # noqa: B018


def test_the_way_to_the_constant_grader_by_hand():
    grades = np.array([0, 0, 0, 1, 1, 2])
    sure = np.log(0.8 * np.eye(3)[grades] + 0.2 / 3)
    pairs = EvaluationSet(grades, sure, QuerySample(np.arange(6), 10, 0))
    shares = (np.array([3, 2, 1]) + PRIOR_COUNT) / (6 + 3 * PRIOR_COUNT)
    of_gold = 0.8 + 0.2 / 3
    assert ACCURACY.way(pairs) == pytest.approx(3 / 6 - 1)
    assert LOG_LOSS.way(pairs) == pytest.approx(-np.log(shares[grades]).mean() + np.log(of_gold))
    assert QWK.way(pairs) == pytest.approx(0 - 1)
    assert CHANGED_PREDICTIONS.way(pairs) == pytest.approx(3 / 6)
    margins = [np.log(shares[0] / shares[1]), np.log(shares[1] / shares[0]), np.log(shares[2] / shares[0])]
    assert LOGIT_MARGIN.way(pairs) == pytest.approx(np.dot([3, 2, 1], margins) / 6 - np.log(of_gold / (0.2 / 3)))
    assert KL_DIVERGENCE.way(pairs) == pytest.approx(np.mean([stats.entropy(softmax(row), shares) for row in sure]))


def test_a_model_no_better_than_the_constant_grader_has_no_way():
    grades = np.array([0, 0, 1])
    wrong = EvaluationSet(grades, -5.0 * np.eye(2)[grades], QuerySample(np.arange(3), 10, 0))
    assert all(np.isnan(measure.way(wrong)) for measure in (ACCURACY, LOG_LOSS, LOGIT_MARGIN, QWK))
    constant = EvaluationSet(grades, wrong.constant_logits, wrong.sample)
    assert all(np.isnan(measure.way(constant)) for measure in GRADER.tested)


def test_measures_say_what_they_are():
    assert ACCURACY.change == "relative_accuracy_change"
    assert (LOG_LOSS.change, LOG_LOSS.to_constant) == ("log_loss_change", "log_loss_to_constant")
    assert KL_DIVERGENCE.change == "kl_divergence"
    assert set(GRADER.label_free) == {KL_DIVERGENCE, CHANGED_PREDICTIONS}
    assert set(GRADER.graded) | set(GRADER.label_free) == set(GRADER.tested)
    worse = {ACCURACY: -0.1, LOG_LOSS: 0.1, LOGIT_MARGIN: -0.1, QWK: -0.1, KL_DIVERGENCE: 0.1, MAE: 0.1}
    assert all(measure.harm(change) == pytest.approx(0.1) for measure, change in worse.items())


def test_undefined_values_stay_undefined():
    one_hot = np.eye(2)[[1, 1]] * 4.0
    only = EvaluationSet(np.array([1, 1]), one_hot, QuerySample(np.arange(2), 10, 0))
    assert np.isnan(measure_changes(QWK, one_hot[None], only).values).all()
    missed = EvaluationSet(np.array([0, 0]), one_hot, only.sample)
    changes = measure_changes(ACCURACY, one_hot[None], missed)
    assert np.isnan([changes.changes, changes.low, changes.high]).all()


def test_an_interval_of_one_pair_a_query_is_students():
    rng = np.random.default_rng(1)
    grades = rng.integers(0, 3, 4000)
    before, after = rng.normal(size=(2, 4000, 3))
    pairs = EvaluationSet(grades, before, QuerySample(np.arange(4000), 10, 0))
    found = measure_changes(LOGIT_MARGIN, after[None], pairs)
    gold = np.arange(3) == grades[:, None]

    def margins(logits):
        return np.where(gold, logits, -np.inf).max(-1) - np.where(gold, -np.inf, logits).max(-1)

    changes = margins(after) - margins(before)
    low, high = stats.t.interval(0.95, 3999, loc=changes.mean(), scale=stats.sem(changes))
    assert (found.low[0], found.high[0]) == pytest.approx((low, high), abs=0.02 * (high - low))


def test_copies_within_a_query_do_not_narrow_an_interval():
    rng = np.random.default_rng(3)
    grades = rng.integers(0, 3, 40)
    before, after = rng.normal(size=(2, 40, 3))
    once = EvaluationSet(grades, before, QuerySample(np.arange(40), 10, 0))
    often = once.subset(np.repeat(np.arange(40), 5))
    for measure in (LOG_LOSS, LOGIT_MARGIN, QWK, KL_DIVERGENCE):
        one = measure_changes(measure, after[None], once)
        five = measure_changes(measure, np.repeat(after, 5, axis=0)[None], often)
        assert [*five.low, *five.high] == pytest.approx([*one.low, *one.high])


def test_no_flip_leaves_room_for_as_many_as_the_sample_may_have_missed():
    """Clopper and Pearson's upper end of 0 in 200."""
    grades = np.arange(200) % 4
    before = np.eye(4)[np.where(np.arange(200) < 150, grades, (grades + 1) % 4)]
    pairs = EvaluationSet(grades, before, QuerySample(np.arange(200), 10, 0))
    missed = stats.binomtest(0, 200).proportion_ci(0.95, "exact").high
    changed = measure_changes(CHANGED_PREDICTIONS, before[None] * 1.1, pairs)
    assert (changed.low[0], changed.high[0]) == pytest.approx((0, missed))
    accuracy = measure_changes(ACCURACY, before[None] * 1.1, pairs)
    assert (accuracy.low[0], accuracy.high[0]) == pytest.approx((-missed / 0.75, missed / 0.75))


def test_ends_that_allow_for_the_unseen_lie_outside_the_interval():
    logits, pairs = predictions(4)
    right = EvaluationSet(pairs.grades, pairs.unmasked_logits + 4 * np.eye(4)[pairs.gold], pairs.sample)
    for measure in GRADER.tested:
        found = measure_changes(measure, logits, right)
        shares = found.changes / measure.way(right)
        ends = [found.share_least, found.share_low, shares, found.share_high, found.share_most]
        assert (np.diff(ends, axis=0) >= 0).all()


def test_a_share_of_the_way_is_as_uncertain_as_both():
    """A mask that always goes half of the way to the constant grader does so for sure, whatever the way is."""
    _, pairs = predictions(6)
    right = EvaluationSet(pairs.grades, pairs.unmasked_logits + 4 * np.eye(4)[pairs.gold], pairs.sample)
    half = measure_changes(LOGIT_MARGIN, ((right.unmasked_logits + right.constant_logits) / 2)[None], right)
    whole = measure_changes(LOGIT_MARGIN, right.constant_logits[None], right)
    assert [whole.share_low[0], whole.share_high[0]] == pytest.approx([1, 1])
    assert half.share_high[0] - half.share_low[0] < 0.5 * (half.high[0] - half.low[0]) / abs(LOGIT_MARGIN.way(right))


def test_some_masks_of_the_changes():
    logits, pairs = predictions(5)
    every, some = (measure_changes(LOG_LOSS, logits[rows], pairs) for rows in ([0, 1, 2], [0, 2]))
    part = every.of(np.array([True, False, True]))
    for name in ("values", "changes", "resamples", "sums", "low", "high"):
        assert getattr(part, name) == pytest.approx(getattr(some, name))
    assert part.share_least == pytest.approx(every.share_least[[0, 2]], nan_ok=True)


def test_scales_by_hand():
    grades = np.array([0, 0, 0, 1, 1, 2])
    pairs = EvaluationSet(grades, 3.0 * np.eye(3)[grades], QuerySample(np.arange(6), 10, 0))
    row = measure_scales([ACCURACY], pairs, 0.02).iloc[0]
    assert (row.measure, row.unmasked, row.constant, row.way) == ("accuracy", 1.0, 0.5, -0.5)
    assert row.margin == pytest.approx(0.01)
    assert row.way_low < row.way < row.way_high
