"""Two runs and their differences, worked by hand; the rank correlation against scipy's."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.compare.diff import diff_runs, difference_interval
from pipeline.compare.run_results import RunResults
from tests.support.frames import run_heads_frame, run_results

NOTHING = "no effect"


def test_params_that_differ_and_those_that_one_run_has_not():
    before = run_results("a", params={"run.seed": "13", "model.name": "embedded", "old.key": "1"})
    after = run_results("b", params={"run.seed": "14", "model.name": "embedded", "new.key": "null"})
    expected = [["run.seed", "13", "14"], ["old.key", "1", None], ["new.key", None, "null"]]
    assert diff_runs(before, after).params.to_numpy().tolist() == expected


def test_one_value_written_in_two_ways_is_no_difference():
    before = run_results("a", params={"finetune.dropout": "0", "g": "[[0,1]]", "text": "0"})
    after = run_results("b", params={"finetune.dropout": "0.0", "g": "[[0, 1]]", "text": "zero"})
    assert diff_runs(before, after).params["param"].tolist() == ["text"]


def test_metrics_are_all_there_with_their_differences():
    found = diff_runs(
        run_results("a", metrics={"x": 0.25, "y": 1}), run_results("b", metrics={"x": 0.75, "z": 3})
    ).metrics
    assert found["metric"].tolist() == ["x", "y", "z"]
    expected = [[0.25, 0.75, 0.5], [1, np.nan, np.nan], [np.nan, 3, np.nan]]
    np.testing.assert_array_equal(found[["before", "after", "difference"]], expected)


def test_heads_stand_beside_each_other():
    before = run_results("a", heads=run_heads_frame([[-0.25, 0.0], [0.125, -0.5]], needed=[(1, 1)]))
    after = run_results("b", heads=run_heads_frame([[-0.25, -0.125], [0.0, 0.0]], needed=[(0, 0)]))
    found = diff_runs(before, after).heads
    found = found.drop(columns=["difference_low", "difference_high"])
    assert found.to_numpy().tolist() == [
        [0, 0, -0.25, -0.25, 0, 0.25, 0.25, NOTHING, "needed"],
        [0, 1, 0, -0.125, -0.125, 0, 0.125, NOTHING, NOTHING],
        [1, 0, 0.125, 0, -0.125, -0.125, 0, NOTHING, NOTHING],
        [1, 1, -0.5, 0, 0.5, 0.5, 0, "needed", NOTHING],
    ]


def test_the_interval_of_a_difference_is_that_of_two_normal_estimates():
    rng = np.random.default_rng(6)
    (one, other), errors = rng.normal(size=(2, 2, 3)), rng.uniform(0.1, 1, (2, 2, 3))
    frames = [
        run_heads_frame(effects, below=1.959963984540054 * error, above=1.959963984540054 * error)
        for effects, error in zip((one, other), errors, strict=True)
    ]
    heads = diff_runs(*(run_results(name, heads=frame) for name, frame in zip("ab", frames, strict=True))).heads
    low, high = stats.norm.interval(0.95, (other - one).ravel(), np.sqrt((errors**2).sum(axis=0)).ravel())
    np.testing.assert_allclose(heads[["difference_low", "difference_high"]].T, [low, high], atol=1e-12)


def test_the_interval_of_a_difference_of_lopsided_ones():
    before, after = [0.0, -0.03, 0.05], [-0.1, -0.14, -0.07]
    # Smaller where the second is at its lower end and the first at its upper one: 0.04, 0.05. Larger: 0.03, 0.03.
    expected = (-0.1 - 0.0041**0.5, -0.1 + 0.0018**0.5)
    assert difference_interval(np.array(before), np.array(after)) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(difference_interval(np.array(before), np.array([np.nan, -0.1, 0.1]))).all()


def test_the_rank_correlation_is_scipys():
    rng = np.random.default_rng(4)
    one, two = rng.normal(size=(2, 3, 4)).round(1)  # rounded: ties
    found = diff_runs(
        run_results("a", heads=run_heads_frame(one)), run_results("b", heads=run_heads_frame(two))
    ).rank_correlation
    assert found == pytest.approx(stats.spearmanr(one.ravel(), two.ravel()).statistic, abs=1e-12)


def test_a_run_whose_heads_all_change_the_same_has_no_rank_correlation():
    flat = run_results("a", heads=run_heads_frame(np.zeros((2, 2))))
    assert diff_runs(flat, run_results("b", heads=run_heads_frame([[0, 1], [2, 3]]))).rank_correlation is None


def test_undefined_effects_are_no_part_of_the_rank_correlation():
    undefined = run_results("a", heads=run_heads_frame([[np.nan, 1], [2, 3]]))
    assert diff_runs(
        undefined, run_results("b", heads=run_heads_frame([[9, 1], [2, 3]]))
    ).rank_correlation == pytest.approx(1)


def test_labels_gained_and_lost():
    before = run_results("a", labels=[(0, 0, "cls"), (1, 1, "term_match")])
    after = run_results("b", labels=[(1, 1, "term_match"), (1, 0, "sep"), (0, 1, "cls")])
    expected = [[0, 0, "cls", "lost"], [0, 1, "cls", "gained"], [1, 0, "sep", "gained"]]
    assert diff_runs(before, after).labels.to_numpy().tolist() == expected


def test_verdicts_that_changed():
    before = run_results("a", verdicts={"R0": "differs", "R1": "agrees", "F1": "agrees"})
    after = run_results("b", verdicts={"R0": "differs", "R1": "cannot tell", "D1": "agrees"})
    expected = [["R1", "agrees", "cannot tell"], ["F1", "agrees", None], ["D1", None, "agrees"]]
    assert diff_runs(before, after).verdicts.to_numpy().tolist() == expected


def test_models_of_different_shapes_compare_in_all_but_ranks():
    small = run_results("a", heads=run_heads_frame([[-0.5, 0.0]]), labels=[(0, 0, "cls")], metrics={"x": 1})
    large = run_results("b", heads=run_heads_frame([[0.0, 0.25], [0.5, 0.0]]), labels=[(1, 0, "sep")], metrics={"x": 3})
    found = diff_runs(small, large)
    assert found.metrics["difference"].tolist() == [2]
    assert found.rank_correlation is None
    assert found.heads[["layer", "head"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    np.testing.assert_array_equal(found.heads["difference"], [0.5, 0.25, np.nan, np.nan])
    assert found.heads["verdict_before"].tolist() == [NOTHING, NOTHING, None, None]
    assert found.labels.to_numpy().tolist() == [[0, 0, "cls", "lost"]]  # layer 1 is no head of both


def test_a_run_compared_with_itself_differs_in_nothing():
    run = run_results(
        "a", heads=run_heads_frame([[-0.5, 0.0]]), labels=[(0, 0, "cls")], metrics={"x": 1}, params={"a.b": "1"}
    )
    found = diff_runs(run, replace(run, name="b"))
    assert [len(frame) for frame in (found.params, found.labels, found.verdicts)] == [0, 0, 0]
    assert found.heads["difference"].tolist() == [0, 0]
    assert found.rank_correlation == pytest.approx(1)


def test_columns_are_there_without_rows():
    empty = RunResults("a", {}, {}, run_heads_frame(np.zeros((1, 1))).iloc[:0], run_results("a").labels, {})
    found = diff_runs(empty, empty)
    assert found.params.columns.tolist() == ["param", "before", "after"]
    assert found.labels.columns.tolist() == ["layer", "head", "function", "change"]
    assert found.verdicts.columns.tolist() == ["finding", "before", "after"]
    assert isinstance(found.heads, pd.DataFrame)
    assert found.rank_correlation is None
