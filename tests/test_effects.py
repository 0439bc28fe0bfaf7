import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, log_loss, mean_absolute_error

from pipeline.analysis.effects import effects, measures, predicted_counts
from pipeline.analysis.summaries import group_metrics, head_metrics


def one_hot(predicted: list[int], count: int = 3) -> np.ndarray:
    return np.eye(count)[predicted] * 4.0


@given(seed=st.integers(0, 500), pairs=st.integers(2, 40), count=st.integers(2, 6))
def test_measures_equal_sklearns(seed, pairs, count):
    rng = np.random.default_rng(seed)
    logits, grades = rng.normal(size=(3, pairs, count)), rng.integers(0, count, pairs)
    grades[:2] = [0, count - 1]
    found = measures(logits, grades)
    for number, one in enumerate(logits):
        predicted, shares = one.argmax(-1), np.exp(one) / np.exp(one).sum(-1, keepdims=True)
        labels = list(range(count))
        assert found.accuracy[number] == pytest.approx((predicted == grades).mean())
        assert found.qwk[number] == pytest.approx(
            cohen_kappa_score(grades, predicted, weights="quadratic", labels=labels)
        )
        assert found.mae[number] == pytest.approx(mean_absolute_error(grades, predicted))
        assert found.log_loss[number] == pytest.approx(log_loss(grades, shares, labels=labels))


def test_effects_by_hand():
    grades = np.array([0, 1, 2, 2])
    baseline = one_hot([0, 1, 2, 0])  # three of four right
    masked = one_hot([0, 2, 0, 2])  # two of four: pairs 1 and 2 lost, pair 3 won
    row = effects(baseline, np.stack([baseline, masked]), grades)
    assert row.accuracy.tolist() == [0.75, 0.5]
    assert row.relative_accuracy_change.tolist() == pytest.approx([0, -1 / 3])
    assert row.mae_change.tolist() == pytest.approx([0, (1 + 2) / 4 - 2 / 4])
    assert row.right_to_wrong.tolist() == [0, 2]
    assert row.wrong_to_right.tolist() == [0, 1]


def test_kappa_of_one_grade_and_a_baseline_without_a_hit_are_undefined():
    only = effects(one_hot([1, 1]), one_hot([1, 1])[None], np.array([1, 1]))
    assert only.qwk.isna().all()
    missed = effects(one_hot([0, 0]), one_hot([1, 0])[None], np.array([1, 1]))
    assert missed.relative_accuracy_change.isna().all()


def test_predicted_counts():
    counts = predicted_counts(np.stack([one_hot([0, 0, 2]), one_hot([1, 1, 1])]))
    assert counts.to_numpy().tolist() == [[2, 0, 1], [0, 3, 0]]


def test_head_metrics_turn_nan_into_none():
    heads = pd.DataFrame({"relative_accuracy_change": [-0.2, 0.005, 0.0, np.nan]})
    metrics = head_metrics(heads, one_hot([1, 1]), np.array([1, 1]))
    assert metrics["heads_largest_loss"] == -0.2
    assert metrics["heads_within_1_percent"] == 0.5
    assert metrics["heads_baseline_qwk"] is None


def test_group_metrics_average_over_draws():
    rows = [
        ("random_k", "random", -0.1),
        ("random_k", "random", -0.3),
        ("function", "term_match", -0.5),
        ("lower_except", "term_match", -0.2),
        ("half", "lower", -0.8),
    ]
    metrics = group_metrics(pd.DataFrame(rows, columns=["experiment", "group", "relative_accuracy_change"]))
    assert metrics["groups_random_k"] == pytest.approx(-0.2)
    assert metrics["groups_term_match"] == -0.5
    assert metrics["groups_lower_except_term_match"] == -0.2
    assert metrics["groups_lower_half"] == -0.8
    assert metrics["groups_upper_half"] is None
