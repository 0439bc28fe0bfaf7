import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import cohen_kappa_score, log_loss, mean_absolute_error, ndcg_score, recall_score

from pipeline.analysis.ablation_effects import (
    CHANGE,
    HARMFUL,
    NEEDED,
    NOTHING,
    EvaluationSet,
    effect_significance,
    measure_effects,
    predicted_counts,
)
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.metrics import measures, sufficient_statistics


def one_hot(predicted: list[int], count: int = 3) -> np.ndarray:
    return np.eye(count)[predicted] * 4.0


def evaluated(
    unmasked: np.ndarray, grades: np.ndarray, query_ids: np.ndarray | None = None, resamples: int = 200
) -> EvaluationSet:
    query_ids = np.arange(len(grades)) if query_ids is None else query_ids
    return EvaluationSet(grades, unmasked, QuerySample(query_ids, resamples, seed=0))


@given(seed=st.integers(0, 500), pairs=st.integers(2, 40), count=st.integers(2, 6))
@settings(deadline=None)
def test_measures_equal_sklearns(seed, pairs, count):
    rng = np.random.default_rng(seed)
    logits, grades = rng.normal(size=(3, pairs, count)), rng.integers(0, count, pairs)
    grades[:2] = [0, count - 1]
    found = measures(sufficient_statistics(logits, grades, rng.integers(0, 5, pairs)).sum(axis=1))
    for number, one in enumerate(logits):
        predicted, labels = one.argmax(-1), list(range(count))
        assert found["accuracy"][number] == pytest.approx((predicted == grades).mean())
        assert found["qwk"][number] == pytest.approx(
            cohen_kappa_score(grades, predicted, weights="quadratic", labels=labels)
        )
        assert found["mae"][number] == pytest.approx(mean_absolute_error(grades, predicted))
        assert found["log_loss"][number] == pytest.approx(log_loss(grades, softmax(one, axis=-1), labels=labels))
        recalls = recall_score(grades, predicted, labels=labels, average=None, zero_division=np.nan)
        assert [found[f"recall_{grade}"][number] for grade in labels] == pytest.approx(recalls, nan_ok=True)
        others = [np.delete(row, grade).max() for row, grade in zip(one, grades, strict=True)]
        assert found["logit_margin"][number] == pytest.approx(np.mean(one[np.arange(pairs), grades] - others))


def test_ndcg_is_the_mean_of_sklearns_over_queries():
    rng = np.random.default_rng(0)
    logits, grades, query_ids = rng.normal(size=(2, 60, 4)), rng.integers(0, 4, 60), np.repeat(np.arange(5), 12)
    found = measures(sufficient_statistics(logits, grades, query_ids).sum(axis=1))["ndcg_at_10"]
    for number, one in enumerate(logits):
        expected = (softmax(one, axis=-1) @ np.arange(4)).round(5)
        scores = [
            ndcg_score([2.0 ** grades[query_ids == query] - 1], [expected[query_ids == query]], k=10)
            for query in range(5)
        ]
        assert found[number] == pytest.approx(np.mean(scores))


def test_effects_by_hand():
    grades = np.array([0, 1, 2, 2])
    baseline = one_hot([0, 1, 2, 0])  # three of four right
    masked = one_hot([0, 2, 0, 2])  # two of four: pairs 1 and 2 lost, pair 3 won
    row = measure_effects(np.stack([baseline, masked]), evaluated(baseline, grades))
    assert row.accuracy.tolist() == [0.75, 0.5]
    assert row[CHANGE].tolist() == pytest.approx([0, -1 / 3])
    assert row.mae_change.tolist() == pytest.approx([0, (1 + 2) / 4 - 2 / 4])
    assert row.right_to_wrong.tolist() == [0, 2]
    assert row.wrong_to_right.tolist() == [0, 1]
    assert row.loc[0, [f"{CHANGE}_low", f"{CHANGE}_high"]].tolist() == [0, 0]


def test_the_interval_is_scipys_where_every_query_has_one_pair():
    rng = np.random.default_rng(1)
    grades = rng.integers(0, 3, 300)
    baseline, masked = rng.normal(size=(2, 300, 3))
    row = measure_effects(masked[None], evaluated(baseline, grades, resamples=4000)).iloc[0]
    gold = np.arange(3) == grades[:, None]

    def margin(logits):
        return np.where(gold, logits, -np.inf).max(-1) - np.where(gold, -np.inf, logits).max(-1)

    theirs = scipy_bootstrap(
        (margin(masked) - margin(baseline),), np.mean, n_resamples=4000, method="percentile", rng=2
    ).confidence_interval
    assert row.logit_margin_change_low == pytest.approx(theirs.low, abs=0.03)
    assert row.logit_margin_change_high == pytest.approx(theirs.high, abs=0.03)


def test_copies_within_a_query_do_not_narrow_the_interval():
    rng = np.random.default_rng(3)
    grades = rng.integers(0, 3, 40)
    baseline, masked = rng.normal(size=(2, 40, 3))
    once = measure_effects(masked[None], evaluated(baseline, grades)).iloc[0]
    five = [np.repeat(one, 5, axis=0) for one in (masked, baseline, grades, np.arange(40))]
    often = measure_effects(five[0][None], evaluated(five[1], five[2], five[3])).iloc[0]
    assert often.logit_margin_change_low == pytest.approx(once.logit_margin_change_low)
    assert often.logit_margin_change_high == pytest.approx(once.logit_margin_change_high)


def test_kappa_of_one_grade_and_a_baseline_without_a_hit_are_undefined():
    only = measure_effects(one_hot([1, 1])[None], evaluated(one_hot([1, 1]), np.array([1, 1])))
    assert only.qwk.isna().all()
    missed = measure_effects(one_hot([1, 0])[None], evaluated(one_hot([0, 0]), np.array([1, 1])))
    assert missed[CHANGE].isna().all()


def test_verdicts_follow_the_direction_and_the_size():
    grades = np.zeros(60, dtype=int)
    half = one_hot([0] * 30 + [1] * 30)
    worse, better, same = one_hot([0] * 10 + [1] * 50), one_hot([0] * 50 + [1] * 10), half
    found = effect_significance(np.stack([worse, better, same]), evaluated(half, grades))
    assert found.verdict.tolist() == [NEEDED, HARMFUL, NOTHING]
    assert found.p[0] < 0.001 < found.p[2] == found.mcnemar_p[2] == 1
    assert (found.q >= found.p).all()
    assert found.min_detectable_change[2] == pytest.approx(6 / 60 / 0.5)  # six queries at least must change


def test_predicted_counts():
    counts = predicted_counts(np.stack([one_hot([0, 0, 2]), one_hot([1, 1, 1])]))
    assert counts.to_numpy().tolist() == [[2, 0, 1], [0, 3, 0]]
