"""Each finding agrees, differs or cannot tell on frames made so, and quotes the numbers that decided it."""

import numpy as np
import pandas as pd
import pytest

from pipeline.analysis import functional, redundancy, verdicts
from pipeline.analysis.article import CLAIMS
from pipeline.analysis.findings import judge
from pipeline.analysis.verdicts import AGREES, CANNOT_TELL, DIFFERS
from tests.example_results import group_row, groups_frame, heads_frame, profiles_frame

TIMID = [0.0, -0.01, 0.01, -0.02, 0.0]


def shares(changes: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        group_row("random_share", share, change, draw)
        for share, draws in changes.items()
        for draw, change in enumerate(draws)
    ]
    return pd.DataFrame(rows or [group_row("baseline", "baseline", 0.0)])


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"0.1": TIMID, "0.2": [-0.02] * 5, "0.5": [-0.2] * 5, "0.9": [-0.7] * 5}, AGREES),
        ({"0.1": TIMID, "0.9": [-0.7] * 5}, AGREES),
        ({"0.1": [-0.1] * 5, "0.5": [-0.2] * 5, "0.9": [-0.7] * 5}, DIFFERS),
        ({"0.1": TIMID, "0.5": [-0.01] * 5, "0.9": [-0.02] * 5}, DIFFERS),
        ({"0.1": TIMID, "0.3": [-0.7] * 5, "0.6": [-0.4] * 5, "0.9": [-0.2] * 5}, DIFFERS),
        ({"0.1": [0.0, 0.0, -0.2, 0.0, -0.2], "0.9": [-0.7] * 5}, CANNOT_TELL),
        ({"0.1": TIMID, "0.9": [-0.05] * 5}, CANNOT_TELL),
        ({"0.1": TIMID, "0.9": [-0.7] * 2}, CANNOT_TELL),
        ({"0.3": [-0.1] * 5, "0.9": [-0.7] * 5}, CANNOT_TELL),
        ({"0.1": TIMID, "0.2": TIMID}, CANNOT_TELL),
        ({}, CANNOT_TELL),
    ],
)
def test_random_heads(changes: dict[str, list[float]], verdict: str):
    assert redundancy.random_heads(shares(changes)).verdict == verdict


def test_the_reason_is_built_from_the_numbers():
    finding = redundancy.random_heads(shares({"0.1": [0.0, -0.01, -0.05, 0.0], "0.5": [-0.2] * 3, "0.9": [-0.7] * 3}))
    assert finding.reason == (
        "Masking 10% costs about nothing (3 of 4 draws lose no more than 3%); "
        "beyond 20% accuracy falls (-70.0% at 90%, rank correlation of share and loss 1.00)."
    )
    assert finding.measured == "share masked: median change; 10%: -0.5%, 50%: -20.0%, 90%: -70.0%"
    assert (finding.id, finding.statement, finding.article) == ("R1", *CLAIMS["R1"])


@pytest.mark.parametrize(
    ("lower", "upper", "single", "verdict"),
    [
        (-0.8, -0.3, [-0.01, -0.05], AGREES),
        (-0.3, -0.8, [-0.01, -0.05], DIFFERS),
        (-0.8, -0.3, [-0.01, -0.55], DIFFERS),
        (-0.40, -0.38, [-0.01, -0.05], CANNOT_TELL),
        (-0.8, -0.3, [-0.01, -0.15], CANNOT_TELL),
        (np.nan, np.nan, [np.nan, np.nan], CANNOT_TELL),
    ],
)
def test_layers(lower: float, upper: float, single: list[float], verdict: str):
    rows = [group_row("half", "lower", lower), group_row("half", "upper", upper)]
    rows += [group_row("layer", str(layer), change) for layer, change in enumerate(single)]
    finding = redundancy.layers(pd.DataFrame(rows))
    assert finding.verdict == verdict


def test_a_layer_that_contradicts_is_named():
    rows = [group_row("half", "lower", -0.6), group_row("half", "upper", -0.5)]
    rows += [group_row("layer", "4", -0.01), group_row("layer", "5", -0.548)]
    assert "the worst is layer 5 at -54.8%" in redundancy.layers(pd.DataFrame(rows)).reason


def masked(function: str, change: float, draws: list[float], *others: dict) -> pd.DataFrame:
    random = [group_row("random_k", "random", value, draw) for draw, value in enumerate(draws)]
    return pd.DataFrame([group_row("function", function, change), *random, *others])


def scored(functions: list[str], low: float, chance: float = 0.05, high: float = 0.05) -> pd.DataFrame:
    """Two layers of two heads: one head of the lower layer scores `low`, one of the upper `high`, the rest chance."""
    scores = [(0, 0, chance), (0, 1, low), (1, 0, chance), (1, 1, high)]
    return pd.DataFrame(
        {"layer": layer, "head": head, "function": name, "phase": "after", "score": score, "chance": chance}
        for name in functions
        for layer, head, score in scores
    )


@pytest.mark.parametrize(
    ("judged", "group", "functions"),
    [
        (functional.segmentation, "segmentation", ["segmentation"]),
        (functional.word_order, "word_order", ["previous_term", "next_term"]),
    ],
)
@pytest.mark.parametrize(
    ("low", "change", "draws", "verdict"),
    [
        (0.6, -0.1, TIMID, AGREES),
        (0.06, -0.1, TIMID, DIFFERS),
        (0.6, 0.0, TIMID, DIFFERS),
        (0.1, -0.1, TIMID, CANNOT_TELL),
        (np.nan, -0.1, TIMID, DIFFERS),  # the other low head is defined and at chance
        (0.6, -0.015, TIMID, CANNOT_TELL),  # beyond the median, within the range
        (0.6, -0.1, [-0.01, 0.0], CANNOT_TELL),
    ],
)
def test_low_functions(judged, group: str, functions: list[str], low: float, change: float, draws, verdict: str):
    assert judged(masked(group, change, draws), scored(functions, low)).verdict == verdict


def test_a_function_that_only_high_heads_have_differs():
    finding = functional.segmentation(masked("segmentation", -0.1, TIMID), scored(["segmentation"], low=0.05, high=0.9))
    assert finding.verdict == DIFFERS


def test_a_high_score_below_twice_chance_cannot_tell():
    profiles = scored(["segmentation"], low=0.7, chance=0.5, high=0.5)
    assert functional.segmentation(masked("segmentation", -0.1, TIMID), profiles).verdict == CANNOT_TELL


def test_an_undefined_function_cannot_tell():
    profiles = scored(["segmentation"], low=0.6).assign(score=np.nan)
    unmasked = pd.DataFrame([group_row("baseline", "baseline", 0.0)])
    finding = functional.segmentation(unmasked, profiles)
    assert finding.verdict == CANNOT_TELL
    assert "undefined in the low layers" in finding.reason


@pytest.mark.parametrize(
    ("change", "draws", "lower", "kept", "verdict"),
    [
        (-0.455, TIMID, -0.62, -0.02, AGREES),
        (0.0, TIMID, -0.62, -0.02, DIFFERS),
        (-0.455, TIMID, -0.62, -0.62, DIFFERS),
        (-0.08, TIMID, -0.62, -0.02, CANNOT_TELL),  # more than random, not much more
        (-0.455, TIMID, -0.62, -0.57, CANNOT_TELL),
        (-0.455, [-0.01, -0.02], -0.62, -0.02, CANNOT_TELL),
        (np.nan, TIMID, -0.62, np.nan, CANNOT_TELL),
    ],
)
def test_term_match(change: float, draws: list[float], lower: float, kept: float, verdict: str):
    others = [group_row("half", "lower", lower), group_row("lower_except", "term_match", kept)]
    assert functional.term_match(masked("term_match", change, draws, *others)).verdict == verdict


def test_term_match_heads_that_are_the_whole_lower_half_cannot_tell():
    others = [group_row("half", "lower", -0.6), group_row("lower_except", "term_match", 0.0, masked=0)]
    finding = functional.term_match(masked("term_match", -0.455, TIMID, *others))
    assert finding.verdict == CANNOT_TELL
    assert "the whole lower half" in finding.reason


@pytest.mark.parametrize(
    ("moves", "verdict"),
    [
        ({"term_match": (0.04, 0.05), "self": (0.05, 0.04), "sep": (0.09, 0.08)}, AGREES),
        ({"term_match": (0.04, 0.03), "self": (0.05, 0.04), "sep": (0.09, 0.08)}, DIFFERS),
        ({"term_match": (0.04, 0.05), "self": (0.05, 0.06), "sep": (0.09, 0.08)}, DIFFERS),
        ({"term_match": (0.04, 0.05), "self": (0.05, 0.04), "sep": (0.088, 0.0879)}, DIFFERS),
        ({"term_match": (np.nan, np.nan), "self": (0.05, 0.04), "sep": (0.09, 0.08)}, CANNOT_TELL),
        ({"term_match": (np.nan, np.nan), "self": (0.05, 0.06), "sep": (0.09, 0.08)}, DIFFERS),
        ({"self": (0.05, 0.04), "sep": (0.09, 0.08)}, CANNOT_TELL),
    ],
)
def test_fine_tuning(moves: dict[str, tuple[float, float]], verdict: str):
    """Every score is the mean of two heads, one of them 0.01 above it and one below."""
    rows = [
        {"layer": 0, "head": head, "function": function, "phase": phase, "score": score + 0.01 * (-1) ** head}
        for function, both in moves.items()
        for phase, score in zip(("before", "after"), both, strict=True)
        for head in range(2)
    ]
    assert functional.fine_tuning(pd.DataFrame(rows)).verdict == verdict


def test_fine_tuning_says_which_part_differs():
    profiles = profiles_frame()
    grown = profiles["score"].where(~((profiles["function"] == "self") & (profiles["phase"] == "after")), 0.9)
    reason = functional.fine_tuning(profiles.assign(score=grown)).reason
    assert "attention to itself did not shrink" in reason
    assert "Attention to the same term grew" in reason


def singles(changes: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"layer": 0, "head": range(len(changes)), "relative_accuracy_change": changes})


@pytest.mark.parametrize(
    ("changes", "pairs", "verdict"),
    [
        ([0.0] * 18 + [-0.03, -0.05], 400, AGREES),
        ([0.0] * 20, 400, DIFFERS),
        ([0.0] * 14 + [-0.05] * 6, 400, DIFFERS),
        ([-0.05] * 20, 400, DIFFERS),
        ([0.0] * 19 + [-0.015], 400, CANNOT_TELL),
        ([0.0] * 12 + [0.015] * 7 + [-0.05], 400, CANNOT_TELL),
        ([0.0] * 18 + [-0.03, -0.05], 80, CANNOT_TELL),
        ([np.nan] * 20, 400, CANNOT_TELL),
    ],
)
def test_single_heads(changes: list[float], pairs: int, verdict: str):
    assert redundancy.single_heads(singles(changes), pairs).verdict == verdict


def test_all_findings_in_the_articles_order():
    findings = judge(heads_frame(), groups_frame(), profiles_frame())
    assert [finding.id for finding in findings] == list(CLAIMS)
    assert {finding.verdict for finding in findings} <= set(verdicts.VERDICTS)
    assert all(finding.reason.endswith(".") and finding.measured for finding in findings)


def test_a_model_that_predicts_one_grade_says_nothing_about_masking():
    groups = pd.concat(
        [pd.DataFrame([group_row("baseline", "baseline", 0.0, collapsed=True)]), groups_frame().iloc[1:]]
    )
    found = {finding.id: finding.verdict for finding in judge(heads_frame(), groups, profiles_frame())}
    assert found.pop("T1") == AGREES
    assert set(found.values()) == {CANNOT_TELL}


@pytest.mark.parametrize(("value", "text"), [(-0.524, "-52.4%"), (-0.0001, "+0.0%"), (np.nan, "undefined")])
def test_percent(value: float, text: str):
    assert verdicts.percent(value) == text
