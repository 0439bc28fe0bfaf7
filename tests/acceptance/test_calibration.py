"""How often the statistics are wrong on simulated populations: a fast look, and the table of docs/method.md.

Bounds leave three standard errors for the number of repetitions.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.stats.grading_measures import ACCURACY, KL_DIVERGENCE, LOG_LOSS, LOGIT_MARGIN, QWK
from pipeline.stats.measures import Measure
from tests.support.calibration import (
    Population,
    average_coverage,
    coverage,
    dense_heads,
    false_alarms,
    noisy_heads,
    random_groups,
    sparse_heads,
    wrong_claims,
)

HEADS = 24
PAIRS = (90, 180, 468, 1530)
INTERVALS = (LOG_LOSS, LOGIT_MARGIN, KL_DIVERGENCE)
SPARSE = np.repeat([0.005, 0.01, 0.02, 0.04], 2)


def sparse(drop: float, by_query: bool) -> Callable[[int], Population]:
    return lambda queries: sparse_heads(queries, SPARSE.tolist(), drop, by_query, 0)


POPULATIONS = {
    "every pair a little": lambda queries: dense_heads(queries, len(SPARSE), 0),
    "few pairs, 2 logits": sparse(2, False),
    "few pairs, 4 logits": sparse(4, False),
    "few queries, 2 logits": sparse(2, True),
    "few queries, 4 logits": sparse(4, True),
}


def above(share: float, repetitions: int) -> float:
    """Highest share that so many repetitions may show."""
    return share + 3 * np.sqrt(share * (1 - share) / repetitions)


@pytest.mark.slow
@pytest.mark.parametrize("pairs", PAIRS)
def test_few_heads_without_an_effect_are_declared(pairs):
    found = false_alarms(pairs, HEADS, 200)
    print(f"\n{pairs}\n{found.to_string()}")
    assert found.max() <= above(0.05, 200)


@pytest.mark.slow
def test_intervals_hold_the_truth():
    population = noisy_heads(1500, HEADS, 0)
    measures = (ACCURACY, *INTERVALS, QWK)
    table = pd.DataFrame({pairs: coverage(population, measures, pairs, 60) for pairs in PAIRS}).T
    print(f"\n{table.round(3).to_string()}")
    assert table[[measure.name for measure in INTERVALS]].stack().between(0.93, 0.97).all()
    assert table["accuracy"].min() >= 0.93
    assert table["qwk"][[180, 468, 1530]].min() >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("primary", [LOG_LOSS, ACCURACY], ids=lambda measure: measure.name)
def test_an_effect_as_large_as_the_margin_is_not_called_small(name, primary):
    population = POPULATIONS[name](3000)
    table = pd.DataFrame({pairs: wrong_claims(population, primary, pairs, 200).mean() for pairs in PAIRS}).T
    print(f"\n{name}, {primary.name}\n{table.round(4).to_string()}")
    assert table["small"].max() <= 0.025
    assert table.sum(axis=1).max() <= 0.05


@pytest.mark.slow
def test_the_interval_of_an_average_over_random_groups_holds_that_of_all():
    found = average_coverage(random_groups(800, 200, 0), 15, 468, 200)
    print(f"\n{found.round(3).to_string()}")
    assert found.min() >= 0.93


def test_few_of_few_samples_without_an_effect_declare_a_head():
    assert false_alarms(90, HEADS, 12).max() <= above(0.05, 12)


def test_most_intervals_hold_the_truth():
    held = coverage(noisy_heads(300, 12, 0), (ACCURACY, *INTERVALS), 468, 6)
    assert held.min() >= 0.88


@pytest.mark.parametrize("primary", [LOG_LOSS, ACCURACY], ids=lambda measure: measure.name)
def test_hardly_any_effect_as_large_as_the_margin_is_called_small(primary: Measure):
    for name, draw in POPULATIONS.items():
        found = wrong_claims(draw(600), primary, 468, 6)
        assert found.to_numpy().mean() <= above(0.025, 6 * len(found)), name


def test_most_intervals_of_an_average_over_random_groups_hold_that_of_all():
    assert average_coverage(random_groups(200, 160, 0), 15, 468, 8).min() >= 0.6
