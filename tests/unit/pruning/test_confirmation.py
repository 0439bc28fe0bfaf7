"""Non-inferiority against planted truths: how often a model that is as much worse as the margin allows passes."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, norm

from pipeline.pruning.confirmation import guarded_from, non_inferiority, pairs_needed
from pipeline.pruning.predictions import Part
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.grading_measures import ACCURACY, LOG_LOSS
from pipeline.stats.measures import EvaluationSet

MARGIN = 0.05
PER_QUERY = 3


def graded(queries: int, rng: np.random.Generator, lost: float, won: float) -> tuple[EvaluationSet, np.ndarray]:
    """Pairs of two grades that a model has right in 80%, and logits of another that loses and wins some shares."""
    pairs = queries * PER_QUERY
    grades, right = rng.integers(0, 2, pairs), rng.random(pairs) < 0.8
    changed = rng.random(pairs) < np.where(right, lost / 0.8, won / 0.2)
    before, after = (np.where(correct, grades, 1 - grades) for correct in (right, right ^ changed))
    sample = QuerySample(np.arange(pairs) // PER_QUERY, 100, seed=0)
    return EvaluationSet(grades, 4.0 * np.eye(2)[before], sample), 4.0 * np.eye(2)[after]


def passed(queries: int, seed: int, lost: float, won: float) -> bool:
    evaluated, logits = graded(queries, np.random.default_rng(seed), lost, won)
    (whole,) = non_inferiority(ACCURACY, logits, parts(evaluated), MARGIN, MARGIN)
    assert whole.queries == queries
    assert whole.change == pytest.approx((logits.argmax(1) == evaluated.grades).mean() - right(evaluated))
    return whole.passed


def parts(evaluated: EvaluationSet, **slices: np.ndarray) -> list[Part]:
    """All pairs and slices of the column "kind"."""
    everything = np.ones(len(evaluated.unmasked_logits), dtype=bool)
    named = {("all", "all"): everything, **{("kind", value): pairs for value, pairs in slices.items()}}
    return [(part, *evaluated.part(pairs)) for part, pairs in named.items()]


def right(evaluated: EvaluationSet) -> float:
    return float((evaluated.predicted == evaluated.grades).mean())


def test_a_model_worse_by_the_margin_passes_in_hardly_more_than_2_5_percent():
    share = np.mean([passed(200, seed, lost=0.05 + MARGIN, won=0.05) for seed in range(300)])
    assert share <= 0.025 + 2 * (0.025 * 0.975 / 300) ** 0.5


def test_a_model_as_good_passes_where_the_sample_suffices_and_not_where_it_does_not():
    share = {queries: np.mean([passed(queries, seed, 0.05, 0.05) for seed in range(60)]) for queries in (20, 200)}
    assert share[200] > 0.85
    assert share[20] < 0.4


def test_each_slice_of_enough_queries_is_tested_with_a_margin_of_its_own():
    evaluated, logits = graded(120, np.random.default_rng(0), 0.02, 0.0)
    enough = guarded_from(0.1)
    hard = np.arange(len(logits)) < enough * PER_QUERY
    logits[hard] = 4.0 * np.eye(2)[1 - evaluated.grades[hard]]
    few = np.arange(len(logits)) < (enough - 1) * PER_QUERY
    slices = parts(evaluated, hard=hard, easy=~hard, few=few)
    whole, on_hard, on_easy = non_inferiority(ACCURACY, logits, slices, 0.5, 0.1)
    assert (whole.part, on_hard.part, on_easy.part) == (("all", "all"), ("kind", "hard"), ("kind", "easy"))
    assert whole.passed
    assert on_easy.passed
    assert not on_hard.passed
    assert not on_hard.within
    assert (whole.margin, on_hard.margin) == (0.5, 0.1)


@pytest.mark.parametrize(("margin", "queries"), [(0.1, 54), (0.05, 110), (0.15, 35), (0.3, 30), (2.0, 30)])
def test_a_slice_is_guarded_where_it_can_lose_a_query(margin, queries):
    """The exact binomial bound of one in n, and of one in n - 1, on both sides of the margin; 30 at least."""
    assert guarded_from(margin) == queries
    if queries > 30:
        assert beta.ppf(0.975, 2, queries - 1) < margin < beta.ppf(0.975, 2, queries - 2)


def test_a_loss_is_worse_where_it_is_higher():
    evaluated, _ = graded(100, np.random.default_rng(0), 0.0, 0.0)
    wrong = 4.0 * np.eye(2)[1 - evaluated.gold]
    (worse,) = non_inferiority(LOG_LOSS, wrong, parts(evaluated), 0.01, 0.01)
    assert worse.change > 0
    assert worse.worst >= worse.change
    assert not worse.passed
    (better,) = non_inferiority(LOG_LOSS, 4.0 * np.eye(2)[evaluated.gold], parts(evaluated), 0.01, 0.01)
    assert better.change < 0
    assert better.passed


def test_pairs_needed_are_those_of_the_formula():
    """Standard error 0.01 of a relative change at accuracy 0.8, on 400 pairs, margin 0.02: 400 (z 0.008 / 0.02)^2."""
    frame = pd.DataFrame(
        {
            "group_type": ["unmasked", "removal", "removal", "removal"],
            "group": ["unmasked", "least_important_first", "least_important_first", "most_important_first"],
            "heads_masked": [0, 14, 7, 7],
            "accuracy": [0.8, 0.7, 0.8, 0.1],
            "relative_accuracy_change_low": [0, -0.9, -0.0196, -0.9],
            "relative_accuracy_change_high": [0, 0.9, 0.0196, 0.9],
        }
    )
    z = norm.ppf(0.975) + norm.ppf(0.9)
    assert pairs_needed(ACCURACY, frame, 400, 0.02) == pytest.approx(400 * (z * 0.008 / 0.02) ** 2, rel=0.01)
