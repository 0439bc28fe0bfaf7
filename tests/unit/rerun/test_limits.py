"""Limits on runs made up by hand: kept at the limit, broken beyond it, and what is said of it."""

import pytest

from pipeline.core.config import Limits
from pipeline.rerun.summary import judge_rerun
from tests.support.frames import run_heads_frame, run_results

STRICT = Limits(accuracy_drop=0.02, ndcg_drop=0.02, needed_heads=0, findings=0)
ZEROS = [[0.0, 0.0], [0.0, 0.0]]


def broken(before, after, limits=STRICT) -> list[str]:
    """The lines on broken limits, which stand first and are repeated nowhere."""
    report = judge_rerun(before, after, limits)
    lines = [point.removeprefix("**broken:** ") for point in report.points if point.startswith("**broken:** ")]
    assert report.points[len(lines)].startswith("compared with ")
    assert (report.code, bool(lines)) in ((0, False), (3, True))
    assert not [line for line in lines if line.partition(";")[0] in report.points]
    return lines


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (0.85, 0.83, []),  # exactly the limit, though 0.85 - 0.83 > 0.02 in floating point
        (0.85, 0.95, []),
        (
            0.85,
            0.8299,
            ["headline/test_accuracy 0.8500 -> 0.8299 (-0.0201); limits.accuracy_drop is 0.02"],
        ),
    ],
)
def test_accuracy_may_fall_by_the_limit_and_rise_by_anything(before, after, said):
    assert broken(*(run_results("run", metrics={"headline/test_accuracy": value}) for value in (before, after))) == said


def test_a_rankers_ndcg_may_fall_by_its_own_limit():
    before, after = (
        run_results(name, params={"finetune.objective": "pairwise"}, metrics={"headline/test_ndcg_at_10": value})
        for name, value in (("before", 0.9), ("after", 0.85))
    )
    lenient = Limits(accuracy_drop=0, ndcg_drop=0.05, needed_heads=0, findings=0)
    assert broken(before, after) == ["headline/test_ndcg_at_10 0.9000 -> 0.8500 (-0.0500); limits.ndcg_drop is 0.02"]
    assert broken(before, after, lenient) == []


def test_the_smaller_model_may_fall_by_the_same_limit():
    before, after = (run_results("run", metrics={"pruning/test_accuracy": value}) for value in (0.85, 0.8))
    assert broken(before, after) == ["pruning/test_accuracy 0.8500 -> 0.8000 (-0.0500); limits.accuracy_drop is 0.02"]


def test_heads_that_become_needed_and_those_that_stop_count_alike():
    before = run_results("before", heads=run_heads_frame(ZEROS, needed=[(0, 0), (0, 1)]))
    after = run_results("after", heads=run_heads_frame(ZEROS, needed=[(0, 1), (1, 0), (1, 1)]))
    assert broken(before, after) == [
        "needed heads: layer 0 head 0 is no longer needed, layer 1 head 0 became needed, layer 1 head 1 became needed; "
        "limits.needed_heads is 0"
    ]
    assert broken(before, after, Limits(accuracy_drop=0, ndcg_drop=0, needed_heads=2, findings=0)) != []
    assert broken(before, after, Limits(accuracy_drop=0, ndcg_drop=0, needed_heads=3, findings=0)) == []


def test_a_needed_head_that_the_other_model_has_not_counts():
    before = run_results("before", heads=run_heads_frame([[0.0]]))
    after = run_results("after", heads=run_heads_frame([[0.0, 0.0]], needed=[(0, 1)]))
    assert broken(before, after) == ["needed heads: layer 0 head 1 became needed; limits.needed_heads is 0"]


def test_only_agrees_to_differs_and_back_is_a_flip():
    before = run_results(
        "before", verdicts={"R0": "agrees", "R1": "differs", "F1": "agrees", "F2": "cannot tell", "T1": "agrees"}
    )
    after = run_results(
        "after",
        verdicts={
            "R0": "differs",
            "R1": "agrees",
            "F1": "cannot tell",
            "F2": "differs",
            "D1": "agrees",
            "T1": "not judged",
        },
    )
    assert broken(before, after) == ["findings: R0 agrees -> differs, R1 differs -> agrees; limits.findings is 0"]
    others = ["F1 agrees -> cannot tell", "F2 cannot tell -> differs", "T1 agrees -> not judged", "D1 None -> agrees"]
    assert f"other findings: {', '.join(others)}" in judge_rerun(before, after, STRICT).points
    assert broken(before, after, Limits(accuracy_drop=0, ndcg_drop=0, needed_heads=0, findings=2)) == []


def test_what_only_one_run_has_breaks_nothing():
    assert broken(run_results("before", metrics={"headline/test_accuracy": 0.8}), run_results("after")) == []
    assert broken(run_results("before"), run_results("after", verdicts={"F1": "differs"})) == []


def test_the_report_says_what_changed():
    before = run_results(
        "the run published last",
        params={"training.max_epochs": "3"},
        metrics={"headline/test_accuracy": 0.8, "headline/test_qwk": 0.9, "pairs": 5, "test_mae": 0.3},
        heads=run_heads_frame([[-0.3, -0.2], [-0.1, 0.0]]),
        labels=[(0, 0, "cls")],
        verdicts={"F1": "agrees"},
    )
    after = run_results(
        "this run",
        params={"training.max_epochs": "4"},
        metrics={"headline/test_accuracy": 0.81, "headline/test_qwk": 0.9, "pairs": 5, "test_mae": 0.2},
        heads=run_heads_frame([[-0.3, -0.2], [0.0, -0.1]], needed=[(1, 1)]),
        labels=[(0, 0, "cls"), (1, 1, "sep")],
        verdicts={"F1": "cannot tell"},
    )
    report = judge_rerun(before, after, Limits(accuracy_drop=0.02, ndcg_drop=0.02, needed_heads=1, findings=0))
    assert (report.code, report.title) == (0, "within the limits")
    assert report.points == [
        "compared with the run published last",
        "params: training.max_epochs 3 -> 4",
        "headline/test_accuracy 0.8000 -> 0.8100 (+0.0100)",
        "headline/test_qwk 0.9000 -> 0.9000 (+0.0000)",
        "other metrics that changed: 1",
        "heads with another effect: 2 of 4; rank correlation 0.800",
        "needed heads: layer 1 head 1 became needed",
        "labels of heads: 1 gained",
        "findings: F1 agrees -> cannot tell",
    ]


def test_params_alone_are_no_change():
    before, after = (
        run_results("run", {"report.example_heads": n}, heads=run_heads_frame([[float("nan")]])) for n in "34"
    )
    report = judge_rerun(before, after, STRICT)
    assert (report.code, report.title) == (0, "nothing changed")
    assert report.points == ["compared with run", "params: report.example_heads 3 -> 4"]
