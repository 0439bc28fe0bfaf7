"""Several runs together, worked by hand; spreads and rank correlations against the standard library and scipy."""

import statistics
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from pipeline.compare.run_results import CHANGE
from pipeline.compare.stability import stability
from pipeline.core.errors import InputError
from tests.support.frames import run_heads_frame, run_results

EFFECTS = np.random.default_rng(8).normal(size=(3, 2, 3))
NEEDED = [[(0, 0), (1, 2)], [(0, 0)], [(0, 0), (0, 1)]]


def seeds():
    metrics = [{"qwk": 0.5, "new": 1.0}, {"qwk": 0.7}, {"qwk": 0.9}]
    verdicts = [{"F1": "agrees"}, {"F1": "differs", "D1": "cannot tell"}, {"F1": "agrees"}]
    return [
        run_results(
            f"seed {seed}",
            params={"run.seed": str(seed), "model.name": "embedded", **({"only": "here"} if seed == 1 else {})},
            metrics=metrics[seed],
            heads=run_heads_frame(EFFECTS[seed], needed=NEEDED[seed]).sample(frac=1, random_state=seed),
            verdicts=verdicts[seed],
        )
        for seed in range(3)
    ]


def test_heads_spread_over_the_runs():
    heads = stability(seeds()).heads
    assert heads[["layer", "head"]].to_numpy().tolist() == [[layer, head] for layer in (0, 1) for head in (0, 1, 2)]
    for row in heads.itertuples():
        values = EFFECTS[:, row.layer, row.head].tolist()
        expected = [statistics.mean(values), statistics.stdev(values), min(values), max(values)]
        assert [row.mean, row.deviation, row.minimum, row.maximum] == pytest.approx(expected, abs=1e-12)
    assert heads["needed"].tolist() == [3, 1, 0, 0, 0, 1]


def test_heads_that_every_run_needs():
    assert stability(seeds()).always_needed[["layer", "head"]].to_numpy().tolist() == [[0, 0]]


def test_the_rank_correlation_is_the_mean_over_pairs_of_runs():
    pairs = [stats.spearmanr(one.ravel(), two.ravel()).statistic for one, two in combinations(EFFECTS, 2)]
    assert stability(seeds()).rank_correlation == pytest.approx(np.mean(pairs), abs=1e-12)


def test_one_undefined_pair_leaves_no_rank_correlation():
    flat = run_results("flat", heads=run_heads_frame(np.zeros((2, 3))))
    assert stability([*seeds(), flat]).rank_correlation is None


def test_metrics_spread_over_the_runs_that_have_them():
    metrics = stability(seeds()).metrics.set_index("metric")
    assert metrics.loc["qwk"].tolist() == pytest.approx([3, 0.7, 0.2, 0.5, 0.9])
    assert metrics.loc["new"].tolist() == pytest.approx([1, 1, np.nan, 1, 1], nan_ok=True)


def test_params_that_differ_between_any_two():
    params = stability(seeds()).params
    assert params.index.tolist() == ["run.seed", "only"]
    assert params.columns.tolist() == ["seed 0", "seed 1", "seed 2"]
    assert params.to_numpy().tolist() == [["0", "1", "2"], [None, "here", None]]


def test_verdicts_are_counted():
    verdicts = stability(seeds()).verdicts
    assert verdicts.columns.tolist() == ["finding", "agrees", "differs", "cannot tell", "not judged"]
    assert verdicts.to_numpy().tolist() == [["F1", 2, 1, 0, 0], ["D1", 0, 0, 1, 0]]


def test_an_effect_that_one_run_leaves_undefined_is_undefined():
    runs = seeds()
    runs[1].heads.loc[runs[1].heads["head"] == 1, CHANGE] = np.nan
    heads = stability(runs).heads
    assert heads["mean"].isna().tolist() == [False, True, False, False, True, False]


def test_runs_of_two_shapes_are_refused():
    with pytest.raises(InputError, match="seed 2 has 2 layers x 3 heads, small 1 layers x 3 heads"):
        stability([*seeds(), run_results("small", heads=run_heads_frame(np.zeros((1, 3))))])
