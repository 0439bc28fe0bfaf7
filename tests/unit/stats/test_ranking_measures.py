"""Ranking measures against ir-measures, scipy and every order of tied titles, and by hand where those have none."""

from itertools import permutations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import softmax

from pipeline.stats import ranking_measures as ranking
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measure_sets import GRADER, RANKER
from pipeline.stats.measures import EvaluationSet, Measure, measure_changes, point_changes
from pipeline.stats.paired_tests import change_p_values
from pipeline.stats.temperature import fit_score_temperature


def evaluated(scores: np.ndarray, grades: np.ndarray, query_ids: np.ndarray) -> EvaluationSet:
    return EvaluationSet(grades, scores[:, None], QuerySample(query_ids, 100, seed=0))


def value(measure: Measure, scores: np.ndarray, pairs: EvaluationSet) -> float:
    return float(measure.value(measure.statistics(scores[None, :, None], pairs).sum(axis=1))[0])


def of_query(measure: Measure, scores: list[float], grades: list[float], unmasked: list[float] | None = None) -> float:
    """Value on one query."""
    before = np.array(scores if unmasked is None else unmasked)
    return value(measure, np.array(scores), evaluated(before, np.array(grades), np.zeros(len(grades), dtype=int)))


def drawn(seed: int, queries: int = 12, most: int = 15) -> tuple[np.ndarray, EvaluationSet]:
    """Scores, and pairs of queries of different sizes in mixed order."""
    rng = np.random.default_rng(seed)
    query_ids = rng.permutation(np.repeat(np.arange(queries), rng.integers(2, most, queries)))
    grades = rng.integers(0, 4, len(query_ids))
    unmasked, scores = rng.normal(-5, 3, (2, len(query_ids)))
    return scores, evaluated(unmasked, grades, query_ids)


def judged(scores: np.ndarray, pairs: EvaluationSet, relevance: np.ndarray) -> tuple[list, list]:
    """Judgements and a run for ir-measures."""
    names = [(str(query), str(number)) for number, query in enumerate(pairs.sample.query_ids)]
    qrels = [ir_measures.Qrel(*name, int(grade)) for name, grade in zip(names, relevance, strict=True)]
    return qrels, [ir_measures.ScoredDoc(*name, score) for name, score in zip(names, scores.tolist(), strict=True)]


@pytest.mark.parametrize("seed", range(4))
def test_ndcg_and_mrr_are_those_of_trec_eval(seed: int):
    scores, pairs = drawn(seed)
    gains = {0: 0, 1: 1, 2: 3, 3: 7}  # 2^grade - 1; trec_eval's own gain is the grade
    relevance = np.array([gains[grade] for grade in pairs.gold.tolist()])
    ndcg = {
        int(metric.query_id): metric.value
        for metric in ir_measures.iter_calc([ir_measures.nDCG @ 10], *judged(scores, pairs, relevance))
    }
    with_gain = [query for query in ndcg if pairs.gold[pairs.sample.query_ids == query].any()]
    assert value(ranking.NDCG_AT_10, scores, pairs) == pytest.approx(np.mean([ndcg[query] for query in with_gain]))

    best = np.array([pairs.gold[pairs.sample.query_ids == query].max() for query in pairs.sample.query_ids])
    ranks = {
        int(metric.query_id): metric.value
        for metric in ir_measures.iter_calc([ir_measures.RR @ 10], *judged(scores, pairs, pairs.gold == best))
    }
    differing = [query for query in ranks if len(set(pairs.gold[pairs.sample.query_ids == query])) > 1]
    assert value(ranking.MRR_AT_10, scores, pairs) == pytest.approx(np.mean([ranks[query] for query in differing]))


@pytest.mark.parametrize("seed", range(4))
def test_distances_from_the_unmasked_order_are_scipys(seed: int):
    scores, pairs = drawn(seed)
    queries = [pairs.sample.query_ids == query for query in range(12)]
    before, after = pairs.unmasked_logits[:, 0], scores
    tau = [stats.kendalltau(before[titles], after[titles]).statistic for titles in queries]
    assert value(ranking.KENDALL_DISTANCE, scores, pairs) == pytest.approx((1 - np.mean(tau)) / 2)
    divergence = [stats.entropy(softmax(before[titles]), softmax(after[titles])) for titles in queries]
    assert value(ranking.KL_DIVERGENCE, scores, pairs) == pytest.approx(np.mean(divergence))
    changed = [before[titles].argmax() != after[titles].argmax() for titles in queries]
    assert value(ranking.TOP_TITLE_CHANGED, scores, pairs) == pytest.approx(np.mean(changed))


def test_a_tied_order_has_somers_distance_to_the_unmasked_one():
    before, after = [3.0, 2.0, 1.0, 0.0, -1.0], [1.0, 1.0, 2.0, 0.0, 0.0]
    expected = (1 - stats.somersd(before, after).statistic) / 2
    assert of_query(ranking.KENDALL_DISTANCE, after, [0] * 5, before) == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=2, max_size=5))
def test_ties_count_as_the_mean_over_their_orders(titles: list[tuple[int, int]]):
    scores, grades = (list(map(float, column)) for column in zip(*titles, strict=True))
    orders = list(permutations(range(len(scores))))
    broken = [[score + 1e-3 * order[place] for place, score in enumerate(scores)] for order in orders]
    for measure in (ranking.NDCG_AT_10, ranking.MRR_AT_10, ranking.PAIRWISE_ACCURACY):
        mean = np.mean([of_query(measure, one, grades) for one in broken])
        assert of_query(measure, scores, grades) == pytest.approx(mean, nan_ok=True)


def test_a_model_that_scores_all_alike_is_not_better_for_an_order_in_the_file():
    grades = [2.0, 0.0, 0.0]  # the best title first
    assert of_query(ranking.NDCG_AT_10, [1, 1, 1], grades) == pytest.approx(np.mean([1, 1 / np.log2(3), 0.5]))
    assert of_query(ranking.MRR_AT_10, [1, 1, 1], grades) == pytest.approx(np.mean([1, 1 / 2, 1 / 3]))
    noise = [1, 1 + 1e-7, 1 - 1e-7]  # of float32: no order
    assert of_query(ranking.NDCG_AT_10, noise, grades) == of_query(ranking.NDCG_AT_10, [1, 1, 1], grades)


def test_comparisons_by_hand():
    scores, grades = [2.0, 1.0, 1.5, 0.0], [2.33, 0.5, 2.33, 0.5]  # means of annotators; 4 comparisons
    differences = np.array([2.0 - 1.0, 2.0 - 0.0, 1.5 - 1.0, 1.5 - 0.0])
    expected = np.log(1 + np.exp(-differences)).mean()
    assert of_query(ranking.PAIRWISE_LOG_LOSS, scores, grades) == pytest.approx(expected)
    assert of_query(ranking.PAIRWISE_ACCURACY, [0.0, 1.0, 1.0, 2.0], grades) == pytest.approx((0 + 0 + 0.5 + 0) / 4)
    margins = [(1.0 + 2.0) / 2, (1.0 + 0.5) / 2, (0.5 + 1.5) / 2, (2.0 + 1.5) / 2]
    assert of_query(ranking.SCORE_MARGIN, scores, grades) == pytest.approx(np.mean(margins))
    assert np.isnan(of_query(ranking.PAIRWISE_LOG_LOSS, scores, [1, 1, 1, 1]))


def test_the_way_leads_to_a_model_that_scores_all_alike():
    query_ids = np.zeros(4, dtype=int)
    pairs = evaluated(np.array([9.0, 6.0, 3.0, 0.0]), np.array([3, 2, 1, 0]), query_ids)
    loss = of_query(ranking.PAIRWISE_LOG_LOSS, [9, 6, 3, 0], [3, 2, 1, 0])
    assert ranking.PAIRWISE_LOG_LOSS.way(pairs) == pytest.approx(np.log(2) - loss)
    assert ranking.PAIRWISE_ACCURACY.way(pairs) == pytest.approx(-0.5)
    assert ranking.KENDALL_DISTANCE.way(pairs) == pytest.approx(0.5)
    assert ranking.TOP_TITLE_CHANGED.way(pairs) == pytest.approx(3 / 4)
    assert ranking.KL_DIVERGENCE.way(pairs) == pytest.approx(stats.entropy(softmax([9, 6, 3, 0]), np.full(4, 1 / 4)))
    wrong = evaluated(-np.arange(4.0), np.arange(4), query_ids)
    assert all(np.isnan(measure.way(wrong)) for measure in RANKER.graded)


def test_a_slice_compares_its_titles_with_all_others_of_their_queries():
    grades, query_ids = np.array([2, 1, 0, 1, 0]), np.array([0, 0, 0, 1, 1])
    scores = np.array([1.0, 2.0, 0.0, 5.0, 4.0])
    kept, part = evaluated(scores, grades, query_ids).part(np.array([False, True, False, False, False]))
    assert kept.tolist() == [True, True, True, False, False]
    assert value(ranking.PAIRWISE_ACCURACY, scores[kept], part) == pytest.approx(1 / 2)  # 0 > 1 lost, 1 > 2 won
    assert value(ranking.NDCG_AT_10, scores[kept], part) == pytest.approx(
        of_query(ranking.NDCG_AT_10, [1, 2, 0], [2, 1, 0])
    )
    graded = EvaluationSet(grades, np.eye(3)[grades], QuerySample(query_ids, 100, seed=0))
    kept, part = graded.part(grades == 1)  # of a grader: the pairs alone
    assert (kept.sum(), part.gold.tolist()) == (2, [1, 1])


@pytest.mark.parametrize("seed", range(3))
def test_queries_and_not_the_order_of_rows_make_a_value(seed: int):
    scores, pairs = drawn(seed)
    order = np.random.default_rng(seed).permutation(len(scores))
    for measure in RANKER.tested:
        assert value(measure, scores[order], pairs.subset(order)) == pytest.approx(value(measure, scores, pairs))


@pytest.mark.parametrize("measure", RANKER.tested, ids=lambda measure: measure.name)
def test_changes_are_differences_of_values_and_tested_like_a_mean(measure: Measure):
    scores, pairs = drawn(5, queries=40)
    masked = np.stack([pairs.unmasked_logits[:, 0], scores])
    changes = measure_changes(measure, masked[..., None], pairs)
    before = value(measure, masked[0], pairs)
    expected = (
        value(measure, scores, pairs) / before - 1 if measure.is_relative else value(measure, scores, pairs) - before
    )
    assert changes.changes == pytest.approx([0, expected])
    assert (changes.low <= changes.changes).all()
    assert (changes.changes <= changes.high).all()
    p = change_p_values(changes, 1e-9, seed=0)
    assert p[0] == 1
    if measure.needs_grades and measure.per == "query":
        values = measure.statistics(masked[..., None], pairs)[..., 0]
        differences = values[1] - values[0]
        differences = differences[differences != 0]
        theirs = stats.permutation_test(
            (differences,), np.sum, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(0)
        )
        assert p[1] == pytest.approx(theirs.pvalue, abs=0.02)


def test_the_constant_ranker_and_a_shifted_one_score_alike():
    _, pairs = drawn(0)
    shifted = pairs.unmasked_logits + 7
    for measure in RANKER.label_free:
        assert point_changes(measure, shifted[None], pairs) == pytest.approx(0, abs=1e-12)


def test_ranks_and_their_margins():
    scores, query_ids = np.array([1.0, 3.0, 2.5, 7.0, 3.0])[:, None], np.array([0, 0, 0, 1, 0])
    assert RANKER.decisions(scores, query_ids).tolist() == [4, 1.5, 3, 1, 1.5]
    assert RANKER.decision_margins(scores, query_ids).tolist() == pytest.approx([1.5, 0, 0.5, np.inf, 0])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_a_temperature_makes_scores_log_odds(scale: float):
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1.5, 4000)
    scores, query_ids = np.stack([truth, np.zeros(4000)], axis=1).ravel(), np.repeat(np.arange(4000), 2)
    better = rng.random(4000) < 1 / (1 + np.exp(-truth))
    grades = np.stack([better, ~better], axis=1).ravel().astype(int)
    assert fit_score_temperature(evaluated(scale * scores, grades, query_ids)) == pytest.approx(scale, rel=0.08)
    assert fit_score_temperature(evaluated(np.ones(8000), grades, query_ids)) == 1


def test_both_kinds_name_their_measures_once():
    for measures in (GRADER, RANKER):
        assert len(measures.by_name) == len(measures.tested)
        assert {measures.headline, measures.default_primary, measures.collapse_by, measures.margin} <= set(
            measures.graded
        )
        assert measures.rank_by in measures.label_free
        assert measures.primary("default") is measures.default_primary
    with pytest.raises(Exception, match="'accuracy', which a ranker does not have"):
        RANKER.primary("accuracy")
