"""Statistics of rankers where the truth is known, see `tests.support.ranking_calibration` and docs/method.md."""

import pytest

from pipeline.stats.ranking_measures import NDCG_AT_10, PAIRWISE_LOG_LOSS
from tests.support.ranking_calibration import (
    CLICKS,
    GRADED,
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


def chance(rate: float, repetitions: int) -> float:
    """Three standard errors above a rate of so many repetitions."""
    return rate + 3 * (rate * (1 - rate) / repetitions) ** 0.5


def test_heads_without_effect_are_seldom_declared_in_a_short_run():
    alarms = false_alarms(idle_heads(120, 8, GRADED, DECIDING), 80, 8, 12)
    assert alarms["verdict"].max() <= chance(0.05, 12)


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
@pytest.mark.parametrize("build", [noisy_heads, dense_heads], ids=["noisy", "dense"])
@pytest.mark.parametrize("grades", [GRADED, CLICKS], ids=["grades", "clicks"])
def test_intervals_hold_what_they_say_where_20_queries_change(queries: int, build, grades):
    found = coverage(build(1000, HEADS, grades, DECIDING), queries, 120)
    print(queries, build.__name__, found.round(3).to_dict())
    enough = found.loc[found["share_enough"] > 0.2, "enough"]
    assert enough.between(0.92, 0.98).all()


@pytest.mark.slow
@pytest.mark.parametrize("queries", [30, 80, 250])
def test_claims_at_the_margin_are_wrong_in_5_percent_at_most_even_for_effects_in_few_queries(queries: int):
    shares = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4] * 4
    wrong = wrong_claims(sparse_heads(1000, shares, 1.0, GRADED, DECIDING), queries, 120)
    print(queries, wrong.groupby("measure").mean().round(4).to_dict())
    assert wrong.groupby("measure")[["small", "sign"]].mean().max().max() <= 0.05
