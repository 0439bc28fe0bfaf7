"""Metrics of rankers on the splits: those of ir-measures, at the temperature of dev, undefined ones with a reason."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr

from pipeline.stats.metrics import grade_metrics
from pipeline.stats.split_metrics import metrics_by_split, split_metrics

NAMES = ["ndcg_at_10", "mrr_at_10", "pairwise_accuracy", "pairwise_log_loss", "score_margin", "spearman"]


def ranked(seed, queries=6, titles=13):
    """A split of graded titles, and scores that know their grades a little."""
    rng = np.random.default_rng(seed)
    split = pd.DataFrame({"query_id": np.repeat(np.arange(queries) * 3, titles), "grade": rng.integers(0, 4, 78)})
    scores = split["grade"].to_numpy() + rng.normal(0, 1.5, len(split))
    return split, scores[:, None].astype(np.float32)


def log_loss(split, scores, temperature=1.0):
    """Mean over queries of the mean log loss of every two titles of different grades, the slow way."""
    losses = []
    for _, titles in split.assign(score=scores[:, 0].astype(float) / temperature).groupby("query_id"):
        rows = list(titles[["grade", "score"]].itertuples(index=False))
        losses.append(np.mean([np.log1p(np.exp(w.score - b.score)) for b in rows for w in rows if b.grade > w.grade]))
    return np.mean(losses)


def test_ranking_metrics_are_those_of_ir_measures():
    measures = pytest.importorskip("ir_measures")
    split, scores = ranked(0)
    values, undefined = split_metrics(split, scores)
    assert (list(values), undefined) == (NAMES, {})
    titles = pd.DataFrame({"query_id": split["query_id"].astype(str), "doc_id": [str(row) for row in split.index]})
    qrels = titles.assign(relevance=2 ** split["grade"] - 1)
    best = titles.assign(relevance=(split["grade"] == split.groupby("query_id")["grade"].transform("max")).astype(int))
    run = titles.assign(score=scores[:, 0])
    for measure, name, relevant in ((measures.nDCG @ 10, "ndcg_at_10", qrels), (measures.RR @ 10, "mrr_at_10", best)):
        assert values[name] == pytest.approx(measures.calc_aggregate([measure], relevant, run)[measure])
    by_query = [spearmanr(scores[titles, 0], split["grade"].iloc[titles])[0] for titles in np.arange(78).reshape(6, 13)]
    assert values["spearman"] == pytest.approx(np.mean(by_query))


def test_test_is_judged_at_the_temperature_of_dev():
    (dev, dev_scores), (test, test_scores) = ranked(0), ranked(1)
    values, undefined = metrics_by_split({"dev": dev, "test": test}, {"dev": dev_scores, "test": test_scores})
    best = minimize_scalar(lambda size: log_loss(dev, dev_scores, np.exp(size)), bounds=(-3, 3), method="bounded")
    assert values["dev_pairwise_log_loss"] == pytest.approx(best.fun, rel=1e-6)
    assert values["test_pairwise_log_loss"] == pytest.approx(log_loss(test, test_scores, np.exp(best.x)), rel=1e-4)
    assert undefined == {}
    scaled = metrics_by_split({"dev": dev, "test": test}, {"dev": 40 * dev_scores, "test": 40 * test_scores})[0]
    assert scaled == pytest.approx(values, rel=1e-4)


def test_what_is_undefined_is_none_with_a_reason():
    split = pd.DataFrame({"query_id": [1, 1, 2], "grade": [0.0, 0.0, 2.5]})
    values, undefined = split_metrics(split, np.array([[0.5], [0.1], [1.0]], dtype=np.float32))
    assert values == dict.fromkeys(NAMES)
    assert list(undefined) == NAMES
    assert undefined["mrr_at_10"] == "no query has titles of different grades"
    constant = split_metrics(split.assign(grade=[0.0, 1.0, 2.5]), np.zeros((3, 1), dtype=np.float32))
    assert list(constant[1]) == ["spearman"]
    assert constant[0]["pairwise_accuracy"] == 0.5
    assert constant[0]["mrr_at_10"] == pytest.approx(0.75)


def test_a_graders_metrics_are_those_of_its_grades():
    split, _ = ranked(0)
    logits = np.random.default_rng(1).normal(size=(len(split), 4)).astype(np.float32)
    expected = grade_metrics(logits, split["grade"].to_numpy(), split["query_id"].to_numpy())
    assert split_metrics(split, logits) == expected
    values = metrics_by_split({"dev": split}, {"dev": logits})[0]
    assert values == {f"dev_{name}": value for name, value in expected[0].items()}
