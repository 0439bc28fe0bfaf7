"""Statistics of rankers where the truth is known, see `tests.support.ranking_calibration` and docs/method.md."""

from collections.abc import Callable

import pandas as pd
import pytest

from pipeline.stats.ranking_measures import NDCG_AT_10, PAIRWISE_LOG_LOSS
from tests.support.ranking_calibration import (
    CLICKS,
    GRADED,
    RankedPopulation,
    coverage,
    dense_heads,
    false_alarms,
    idle_heads,
    noisy_heads,
    sparse_heads,
    wrong_claims,
)

DECIDING = (NDCG_AT_10, PAIRWISE_LOG_LOSS)
HEADS = 24
SELDOM = 0.05  # of the intervals: of samples unlike the others, which nearly all have fewer changed queries
SPARSE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4) * 4  # queries that a mask changes
POPULATIONS: dict[str, Callable[[], RankedPopulation]] = {
    "noise of several sizes": lambda: noisy_heads(1000, HEADS, GRADED, DECIDING),
    "the same, one title in ten clicked": lambda: noisy_heads(1000, HEADS, CLICKS, DECIDING),
    "every query a little": lambda: dense_heads(1000, HEADS, GRADED, DECIDING),
    "few queries, 1 logit a grade": lambda: sparse_heads(1000, SPARSE, 1, GRADED, DECIDING),
    "few queries, 3 logits a grade": lambda: sparse_heads(1000, SPARSE, 3, GRADED, DECIDING),
}


def chance(rate: float, repetitions: int) -> float:
    """Three standard errors above a rate of so many repetitions."""
    return rate + 3 * (rate * (1 - rate) / repetitions) ** 0.5


def test_heads_without_effect_are_seldom_declared_in_a_short_run():
    alarms = false_alarms(idle_heads(120, 8, GRADED, DECIDING), 80, 8, 12)
    assert alarms["verdict"].max() <= chance(0.05, 12)


def test_most_intervals_hold_the_truth_in_a_short_run():
    held = coverage(dense_heads(300, 8, GRADED, DECIDING), 80, 20)
    assert held["share_enough"].min() > 0.8
    assert held["enough"].min() >= 0.88


def test_hardly_any_effect_as_large_as_the_margin_is_called_something_else_in_a_short_run():
    wrong = wrong_claims(sparse_heads(300, SPARSE[:12], 1, GRADED, DECIDING), 80, 12)
    assert wrong.groupby("measure").mean().max().max() <= chance(0.025, 12)


@pytest.mark.slow
@pytest.mark.parametrize("queries", [15, 30, 80, 250])
def test_heads_without_effect_are_declared_in_5_percent_of_samples_at_most(queries: int):
    alarms = false_alarms(idle_heads(600, HEADS, GRADED, DECIDING), queries, HEADS, 200)
    print(queries, alarms.to_dict())
    assert alarms["verdict"].max() <= chance(0.05, 200)
    if queries < 20:
        assert alarms["verdict"].max() == 0  # no claim of fewer queries


@pytest.mark.slow
@pytest.mark.parametrize("queries", [30, 80, 250])
def test_intervals_hold_what_they_say_where_20_queries_change(queries: int):
    found = pd.concat({name: coverage(draw(), queries, 120) for name, draw in POPULATIONS.items()}, names=["heads"])
    print(f"\n{queries}\n{found.round(3).to_string()}")
    often = found[found["share_enough"] > SELDOM]
    assert often["enough"].between(0.92, 0.98).all()
    sums = often.assign(held=often["enough"] * often["share_enough"]).groupby("measure")[["held", "share_enough"]].sum()
    pooled = sums["held"] / sums["share_enough"]
    assert pooled.between(0.93, 0.97).all()


@pytest.mark.slow
@pytest.mark.parametrize("queries", [30, 50, 80, 250])
def test_claims_at_the_margin_are_wrong_in_5_percent_at_most(queries: int):
    claims = {name: wrong_claims(draw(), queries, 120) for name, draw in POPULATIONS.items()}
    wrong = pd.concat(claims, names=["heads"]).groupby(["heads", "measure"]).mean()
    print(f"\n{queries}\n{wrong.round(4).to_string()}")
    assert wrong[["small", "beyond", "sign"]].max().max() <= chance(0.025, 120)
