"""Predictions under masks, against values worked by hand."""

import numpy as np
import pytest

from pipeline.report.explorer import predictions
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measure_sets import RANKER
from pipeline.stats.measures import EvaluationSet
from pipeline.stats.ranking_measures import NDCG_AT_10, SCORE_MARGIN, TOP_TITLE_CHANGED


def test_a_grader_predicts_its_highest_logit():
    logits = np.array([[[0, 2, 1], [5, 1, 1]], [[0, 0, 1], [0, 1, 0]]])
    assert predictions.predicted(logits, np.array([1, 1])).tolist() == [[1, 0], [2, 1]]


def test_a_ranker_ranks_the_titles_of_each_query_equal_ones_in_their_order():
    scores = np.array([0.5, 3.0, 0.5, 2.0])[:, None]
    assert predictions.predicted(scores, np.array([4, 9, 4, 4])).tolist() == [2, 1, 3, 1]


def test_many_titles_share_the_last_rank():
    ranks = predictions.predicted(-np.arange(300.0)[:, None], np.zeros(300, dtype=int))
    assert ranks.max() == 255
    assert ranks[253] == 254


def test_heads_and_groups_are_found_by_their_masks():
    masks = np.ones((3, 2, 2))
    masks[0, 1, 0], masks[1, 0, 1], masks[2, 1] = 0, 0, 0
    assert predictions.group_order({"masks": masks}, [[2, 3], [1]]).tolist() == [2, 1]
    with pytest.raises(ValueError, match=r"no mask of the group of heads \[0\]"):
        predictions.group_order({"masks": masks}, [[0]])
    assert predictions.head_order({"masks": 1 - np.eye(4)[::-1].reshape(4, 2, 2)}).tolist() == [3, 2, 1, 0]


def test_queries_that_fall_and_rise_are_told():
    """Query 3 is turned, query 5 is mended, query 8 keeps its order."""
    gold, queries = np.array([1, 0, 1, 0, 1, 0]), np.array([3, 3, 5, 5, 8, 8])
    unmasked = np.array([2.0, 1, 1, 2, 2, 1])[:, None]
    sweep = {"unmasked_logits": unmasked, "masked_logits": np.array([[1.0, 2, 2, 1, 3, 1]])[..., None]}
    changes = predictions.query_changes(sweep, np.array([0]), gold, queries)
    np.testing.assert_allclose(changes, [[np.log(2) / np.log(3) - 1, 1 - np.log(2) / np.log(3), 0]], atol=1e-12)
    assert predictions.hundredths(changes).tolist() == [[-37, 37, 0]]


def test_titles_of_one_grade_that_change_places_make_no_query_worse_or_better():
    """Sums of the same gains differ in their last bits; only the queries turned by hand count, in tables and page."""
    random = np.random.default_rng(3)
    gold, queries = np.tile([3, 1, 1, 2, 1], 60), np.repeat(np.arange(60), 5)
    unmasked = gold + np.tile([0, 0.1, 0.2, 0, 0.3], 60)
    masked = gold + random.permuted(np.tile([0.1, 0.2, 0.3, 0.4, 0.5], (60, 1)), axis=1).ravel()
    masked[0] = -1  # of query 0 the best title
    unmasked[5] = unmasked[10] = -1  # of queries 1 and 2
    sweep = {"unmasked_logits": unmasked[:, None], "masked_logits": masked[None, :, None]}
    evaluated = EvaluationSet(gold, sweep["unmasked_logits"], QuerySample(queries, resamples=0, seed=0))
    counted = RANKER.tallies(sweep["masked_logits"], evaluated)
    assert {name: counts.tolist() for name, counts in counted.items()} == {"queries_worse": [1], "queries_better": [2]}
    changes = predictions.query_changes(sweep, np.array([0]), gold, queries)
    assert np.sign(predictions.hundredths(changes)).tolist() == [[-1, 1, 1] + [0] * 57]


def test_a_measure_is_the_mean_over_the_queries_that_define_it():
    """Query 3 has one title, query 5 two on top, query 8 no title above the lowest grade; query 9 has all."""
    gold, queries = np.array([1, 1, 0, 0, 0, 1, 0]), np.array([3, 5, 5, 8, 8, 9, 9])
    sweep = {"unmasked_logits": np.array([2.0, 1, 1, 1, 2, 2, 1])[:, None]}
    counted = {
        measure.name: predictions.queries_counted(sweep, gold, queries, measure)
        for measure in (NDCG_AT_10, TOP_TITLE_CHANGED, SCORE_MARGIN)
    }
    assert counted == {"ndcg_at_10": 2, "top_title_changed": 2, "score_margin": None}
