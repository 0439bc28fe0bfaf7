"""Metrics against scikit-learn and scipy, and against values worked by hand where those have none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, f1_score, log_loss, ndcg_score

from pipeline.baselines.lexical import lexical_baseline_accuracies, mostly_unspaced, overlap
from pipeline.stats.metrics import grade_metrics, ndcg, spearman

GRADES = 5


def random_predictions(seed: int, pairs: int = 60, queries: int = 14):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (pairs, GRADES)).astype(np.float32)
    return logits, rng.integers(0, GRADES, pairs), rng.integers(0, queries, pairs)


def of_queries(query_ids, *arrays):
    """The arrays' part of each query of two or more titles."""
    for query in np.unique(query_ids):
        rows = query_ids == query
        if rows.sum() > 1:
            yield tuple(array[rows] for array in arrays)


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn_and_scipy(seed):
    logits, grades, query_ids = random_predictions(seed)
    values, undefined = grade_metrics(logits, grades, query_ids)
    shares = softmax(logits.astype(float), axis=1)
    predicted, expected, labels = shares.argmax(axis=1), shares @ np.arange(GRADES), np.arange(GRADES)

    assert undefined == {}
    assert values["accuracy"] == pytest.approx((predicted == grades).mean())
    assert values["qwk"] == pytest.approx(cohen_kappa_score(grades, predicted, labels=labels, weights="quadratic"))
    assert values["mae"] == pytest.approx(np.abs(predicted - grades).mean())
    assert values["macro_f1"] == pytest.approx(f1_score(grades, predicted, average="macro"))
    assert values["log_loss"] == pytest.approx(log_loss(grades, shares, labels=labels))
    correlations = [spearmanr(g, e).statistic for g, e in of_queries(query_ids, grades, expected) if len(set(g)) > 1]
    assert values["spearman"] == pytest.approx(np.mean(correlations))
    gains = [ndcg_score([2.0**g - 1], [e], k=10) for g, e in of_queries(query_ids, grades, expected) if g.max() > 0]
    assert values["ndcg_at_10"] == pytest.approx(np.mean(gains))


@pytest.mark.parametrize("seed", range(3))
def test_rank_metrics_with_ties_and_more_than_ten_titles(seed):
    rng = np.random.default_rng(seed)
    query_ids, grades = rng.integers(0, 3, 60), rng.integers(0, GRADES, 60)
    scores = rng.integers(0, 4, 60).astype(float)
    gains = [ndcg_score([2.0**g - 1], [s], k=10) for g, s in of_queries(query_ids, grades, scores)]
    assert ndcg(scores, grades, query_ids) == pytest.approx(np.mean(gains))
    correlations = [spearmanr(g, s).statistic for g, s in of_queries(query_ids, grades, scores)]
    assert spearman(scores, grades, query_ids) == pytest.approx(np.mean(correlations))


def test_row_order_does_not_matter():
    logits, grades, query_ids = random_predictions(7)
    order = np.random.default_rng(0).permutation(len(grades))
    assert grade_metrics(logits[order], grades[order], query_ids[order])[0] == pytest.approx(
        grade_metrics(logits, grades, query_ids)[0]
    )


def test_ndcg_worked_by_hand():
    # Ranked: grade 0, then grade 2 (gain 3), then grade 1 (gain 1).
    reached = 3 / np.log2(3) + 1 / np.log2(4)
    best = 3 / np.log2(2) + 1 / np.log2(3)
    assert ndcg(np.array([3.0, 2.0, 1.0]), np.array([0, 2, 1]), np.zeros(3, int)) == pytest.approx(reached / best)


def test_macro_f1_leaves_out_grades_that_do_not_occur():
    # Grade 0: two gold, one of them found: F1 2/3. Grade 1: never gold, predicted once: 0. Grade 2 does not occur.
    logits = np.array([[5.0, 0, 0], [0, 5.0, 0]])
    assert grade_metrics(logits, np.array([0, 0]), np.array([0, 0]))[0]["macro_f1"] == pytest.approx(1 / 3)


def test_a_perfect_grader():
    grades = np.array([0, 1, 2, 3, 4, 4])
    values, _ = grade_metrics(np.eye(GRADES)[grades] * 50, grades, np.zeros(6, int))
    exact = {name: values[name] for name in ("accuracy", "qwk", "mae", "macro_f1", "spearman", "ndcg_at_10")}
    assert exact == pytest.approx(dict.fromkeys(exact, 1.0) | {"mae": 0.0})


def test_undefined_is_none_with_a_reason():
    values, undefined = grade_metrics(np.eye(GRADES)[[0, 0]] * 9, np.array([0, 0]), np.array([1, 2]))
    assert {name for name, value in values.items() if value is None} == {"qwk", "spearman", "ndcg_at_10"}
    assert set(undefined) == {"qwk", "spearman", "ndcg_at_10"}
    assert all(undefined.values())
    assert values["accuracy"] == 1.0


def test_constant_predictions_have_a_kappa_of_zero_but_no_correlation():
    values, undefined = grade_metrics(np.zeros((4, GRADES)), np.array([0, 1, 2, 3]), np.array([1, 1, 2, 2]))
    assert values["qwk"] == 0.0
    assert set(undefined) == {"spearman"}
    # Every order of tied titles is as good as the other: the mean gain over both orders.
    first = (0.5 + 0.5 / np.log2(3)) / 1
    second = (5 + 5 / np.log2(3)) / (7 + 3 / np.log2(3))
    assert values["ndcg_at_10"] == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("logits", [np.empty((0, GRADES)), np.full((2, GRADES), np.nan)])
def test_nothing_to_measure_raises(logits):
    with pytest.raises(ValueError, match="finite logits"):
        grade_metrics(logits, np.zeros(len(logits), int), np.zeros(len(logits), int))


def test_overlap_worked_by_hand():
    pairs = pd.DataFrame({"query": ["a b c"], "title": ["b c d e"]})
    assert overlap(pairs, str.split).tolist() == [[2 / 5, 2 / 3, 2 / 4, 1.0]]


def test_overlap_of_texts_without_terms_is_zero():
    assert overlap(pd.DataFrame({"query": ["!"], "title": ["?"]}), lambda text: []).tolist() == [[0.0] * 4]


@pytest.mark.parametrize(
    ("text", "unspaced"),
    [("red shoes", False), ("红色的鞋子 red", True), ("くつした", True), ("красные туфли", False), ("123", False)],
)
def test_scripts_without_spaces_are_told_apart(text, unspaced):
    assert mostly_unspaced([text]) is unspaced


@pytest.mark.parametrize("words", [("red", "blue", "shoe", "hat"), ("红", "蓝", "鞋", "帽")])
def test_floors(words):
    """Grade 1 where query and title are the same word: overlap tells it, the majority grade 0 does not."""
    rng = np.random.default_rng(0)
    query, title = rng.choice(words, 300), rng.choice(words, 300)
    frame = pd.DataFrame({"query": query, "title": title, "grade": (query == title).astype(int)})
    values = lexical_baseline_accuracies(frame[:200], {"dev": frame[200:250], "test": frame[250:]})
    assert list(values) == [
        "dev_majority_accuracy",
        "dev_tfidf_accuracy",
        "test_majority_accuracy",
        "test_tfidf_accuracy",
    ]
    assert values["test_majority_accuracy"] == pytest.approx((frame["grade"][250:] == 0).mean())
    assert values["test_tfidf_accuracy"] == 1.0
    assert lexical_baseline_accuracies(frame[:200], {"dev": frame[200:250], "test": frame[250:]}) == values


def test_metrics_do_not_need_torch():
    code = "import sys, pipeline.stats.metrics; assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
