"""Each finding agrees, differs or cannot tell on frames made so, and quotes the numbers that decided it."""

import numpy as np
import pandas as pd
import pytest

from pipeline.findings import functional_heads, redundancy
from pipeline.findings.article import CLAIMS
from pipeline.findings.judge import bert_against_bilstm, judge_findings
from pipeline.findings.verdict import AGREES, CANNOT_TELL, DIFFERS, VERDICTS, Estimate, percent
from tests.support import frames
from tests.support.frames import group_row

MARGIN = 0.02
SAFE, FALLEN = (0.0, -0.01, 0.01), (-0.7, -0.75, -0.65)


def shares(rows: dict[str, tuple[float, float, float]], draws: int = 5) -> pd.DataFrame:
    named = {f"random_share {share}": figures for share, figures in rows.items()}
    return frames.contrasts_frame(named or {"random_k random": SAFE}, draws)


@pytest.mark.parametrize(
    ("rows", "draws", "verdict"),
    [
        ({"0.1": SAFE, "0.2": (-0.02, -0.05, 0), "0.5": (-0.2, -0.3, -0.1), "0.9": FALLEN}, 5, AGREES),
        ({"0.1": SAFE, "0.9": FALLEN}, 5, AGREES),
        ({"0.1": (0.03, 0.01, 0.05), "0.9": FALLEN}, 5, AGREES),  # the article saw a rise too
        ({"0.1": (-0.1, -0.14, -0.06), "0.9": FALLEN}, 5, DIFFERS),
        ({"0.1": SAFE, "0.5": (-0.01, -0.015, 0), "0.9": (-0.01, -0.019, 0)}, 5, DIFFERS),
        ({"0.1": SAFE, "0.3": FALLEN, "0.6": (-0.4, -0.5, -0.3), "0.9": (-0.2, -0.3, -0.1)}, 5, DIFFERS),
        ({"0.1": (-0.02, -0.05, 0.01), "0.9": FALLEN}, 5, CANNOT_TELL),
        ({"0.1": SAFE, "0.9": (-0.03, -0.06, 0.0)}, 5, CANNOT_TELL),
        ({"0.1": SAFE, "0.9": FALLEN}, 2, CANNOT_TELL),
        ({"0.3": (-0.1, -0.2, -0.05), "0.9": FALLEN}, 5, CANNOT_TELL),
        ({"0.1": SAFE, "0.2": SAFE}, 5, CANNOT_TELL),
        ({}, 5, CANNOT_TELL),
    ],
)
def test_random_heads(rows, draws: int, verdict: str):
    assert redundancy.random_heads(shares(rows, draws), MARGIN).verdict == verdict


def test_the_reason_is_built_from_the_numbers():
    finding = redundancy.random_heads(shares({"0.1": SAFE, "0.5": (-0.2, -0.25, -0.15), "0.9": FALLEN}), MARGIN)
    assert finding.reason == (
        "Masking 10% costs less than 2% (+0.0% (-1.0% to +1.0%)); beyond 20% accuracy falls steadily "
        "(-70.0% (-75.0% to -65.0%) at 90%, rank correlation of share and loss 1.00)."
    )
    assert finding.measured.startswith("share masked: mean change; 10%: +0.0% (-1.0% to +1.0%), 50%: ")
    assert (finding.id, finding.statement, finding.article) == ("R1", *CLAIMS["R1"])


@pytest.mark.parametrize(
    ("difference", "single", "width", "verdict"),
    [
        ((-0.5, -0.6, -0.4), [-0.01, -0.05], 0.015, AGREES),
        ((0.5, 0.4, 0.6), [-0.01, -0.05], 0.015, DIFFERS),
        ((-0.5, -0.6, -0.4), [-0.01, -0.55], 0.015, DIFFERS),
        ((-0.02, -0.06, 0.02), [-0.01, -0.05], 0.015, CANNOT_TELL),
        ((-0.5, -0.6, -0.4), [-0.01, -0.09], 0.03, CANNOT_TELL),
        ((np.nan, np.nan, np.nan), [np.nan, np.nan], 0.015, CANNOT_TELL),
    ],
)
def test_layers(difference, single: list[float], width: float, verdict: str):
    rows = [group_row("half", "lower", -0.6), group_row("half", "upper", -0.5)]
    rows += [group_row("layer", str(layer), change, width=width) for layer, change in enumerate(single)]
    finding = redundancy.layers(pd.DataFrame(rows), frames.contrasts_frame({"lower_minus_upper": difference}))
    assert finding.verdict == verdict


def test_layers_that_contradict_are_named():
    finding = redundancy.layers(
        pd.DataFrame([group_row("layer", "4", -0.01), group_row("layer", "5", -0.548)]), frames.contrasts_frame()
    )
    assert "1 of 2 single layers cost more than 10% (layer 5 -54.8% (-56.3% to -53.3%))" in finding.reason


def test_a_model_of_one_layer_has_no_halves_to_compare():
    one = frames.tables(1, 4)
    layers = redundancy.layers(one.groups, frames.contrasts_frame({"random_k random": SAFE}))
    assert layers.verdict == CANNOT_TELL
    assert layers.reason.startswith("A model of one layer has no halves; ")
    term_match = functional_heads.term_match(one)
    assert term_match.verdict == CANNOT_TELL
    assert "a model of one layer has no lower half" in term_match.reason


def tables(function: str, change: float, p: float, width: float = 0.015, label: bool = True, low: float = 0.2, **more):
    """Two layers; one head of the lower one scores `low` to `low` + 0.04 above its control."""
    groups = pd.DataFrame([group_row("function", function, change, width=width), *more.pop("rows", [])])
    bounds = [(0, 0, -0.01, False), (0, 1, low, label), (1, 0, 0.0, False), (1, 1, 0.6, True)]
    labels = pd.DataFrame(
        {"layer": layer, "head": head, "function": name, "score": 0.1 + low, "control": 0.1}
        | {"difference_low": low, "difference_high": low + 0.04, "is_labelled": does}
        for name in ("segmentation", "previous_term", "next_term")
        for layer, head, low, does in bounds
    )
    controls = frames.controls_frame({function: change}, p)
    return frames.tables(**{"groups": groups, "labels": labels, "controls": controls, **more})


@pytest.mark.parametrize(
    ("judged", "group"), [(functional_heads.segmentation, "segmentation"), (functional_heads.word_order, "word_order")]
)
@pytest.mark.parametrize(
    ("settings", "verdict"),
    [
        ({"change": -0.1, "p": 0.03}, AGREES),
        ({"change": -0.1, "p": 0.03, "label": False, "low": 0.0}, DIFFERS),  # no low head comes near the margin
        ({"change": -0.1, "p": 0.7}, DIFFERS),  # most random groups cost more
        ({"change": 0.0, "p": 0.2}, DIFFERS),  # shown to cost nothing
        ({"change": -0.1, "p": 0.2, "width": 0.05}, CANNOT_TELL),
        ({"change": -0.1, "p": 0.03, "label": False, "low": 0.03}, CANNOT_TELL),  # 0.03 to 0.07, the margin 0.05 within
        ({"change": np.nan, "p": 0.03}, CANNOT_TELL),
    ],
)
def test_low_functions(judged, group: str, settings: dict, verdict: str):
    assert judged(tables(group, **settings)).verdict == verdict


def test_a_function_that_no_pair_defines_is_undecided():
    undefined = tables("segmentation", -0.1, 0.03)
    undefined.labels["difference_low"] = np.nan
    assert functional_heads.segmentation(undefined).verdict == CANNOT_TELL


@pytest.mark.parametrize(
    ("change", "p", "spared", "masked", "verdict"),
    [
        (-0.5, 0.03, (0.4, 0.3, 0.5), 30, AGREES),
        (-0.01, 0.7, (0.4, 0.3, 0.5), 30, DIFFERS),
        (-0.5, 0.03, (-0.1, -0.2, -0.05), 30, DIFFERS),
        (-0.5, 0.03, (0.02, -0.02, 0.06), 30, CANNOT_TELL),
        (-0.5, 0.03, (0.4, 0.3, 0.5), 0, CANNOT_TELL),
        (-0.05, 0.03, (0.4, 0.3, 0.5), 30, CANNOT_TELL),  # rare, but not much more than the median random group
    ],
)
def test_term_match(change: float, p: float, spared, masked: int, verdict: str):
    rows = [group_row("half", "lower", -0.8), group_row("lower_except", "term_match", -0.4, masked=masked)]
    contrasts = frames.contrasts_frame(
        {"random_k random": SAFE, "lower_except_term_match_minus_lower": spared, "random_share 0.1": SAFE}
    )
    finding = functional_heads.term_match(tables("term_match", change, p, rows=rows, contrasts=contrasts))
    assert finding.verdict == verdict


@pytest.mark.parametrize(
    ("median", "words"),
    [((0.0, -0.01, 0.01), "equivalent to 0 within 2%"), ((-0.03, -0.05, -0.01), "not equivalent to 0 within 2%")],
)
def test_that_random_heads_cost_nothing_needs_equivalence(median, words: str):
    finding = functional_heads.term_match(frames.tables(contrasts=frames.contrasts_frame({"random_k random": median})))
    assert words in finding.reason


GREW, SHRANK, NEITHER = (0.01, 0.005, 0.015), (-0.01, -0.015, -0.005), (0.0, -0.005, 0.005)
UNDEFINED = (np.nan, np.nan, np.nan)


@pytest.mark.parametrize(
    ("match", "itself", "sink", "verdict"),
    [
        (GREW, SHRANK, SHRANK, AGREES),
        (SHRANK, SHRANK, SHRANK, DIFFERS),
        (GREW, GREW, SHRANK, DIFFERS),
        (GREW, SHRANK, NEITHER, CANNOT_TELL),
        (GREW, SHRANK, UNDEFINED, CANNOT_TELL),
    ],
)
@pytest.mark.parametrize(("place", "other"), [("cls", "sep"), ("sep", "cls")])
def test_fine_tuning(match, itself, sink, verdict: str, place: str, other: str):
    """The surest term-match head decides; neither another head nor the special token that is no sink does."""
    surest = {"term_match": match, "self": itself, place: sink, other: GREW}
    weaker = {"term_match": SHRANK, "self": SHRANK, place: GREW, other: GREW}
    finding = functional_heads.fine_tuning(frames.term_match_shift_frame([surest, weaker], place))
    assert finding.verdict == verdict
    assert finding.measured.startswith("layer 0 head 0: the same term 0.500 -> ")
    assert f"[{place.upper()}] (the sink)" in finding.measured
    assert f"[{other.upper()}]" not in finding.measured + finding.reason


def test_fine_tuning_counts_the_heads_in_which_each_part_held():
    weaker = {"term_match": GREW, "self": GREW, "cls": NEITHER, "sep": GREW}
    measured = functional_heads.fine_tuning(frames.term_match_shift_frame([frames.SHIFT, weaker])).measured
    assert measured.endswith("of 2 term-match heads: the same term grew in 2; itself shrank in 1; [CLS] shrank in 1")


def test_without_a_term_match_head_fine_tuning_is_undecided():
    finding = functional_heads.fine_tuning(frames.term_match_shift_frame([]))
    assert (finding.verdict, finding.measured) == (CANNOT_TELL, "no term-match head")


def test_what_shuffled_grades_move_as_far_is_no_learning():
    moves = frames.term_match_shift_frame([frames.SHIFT]).assign(null_change=[0.2, 0.0, 0.0, 0.0])
    finding = functional_heads.fine_tuning(moves)
    assert finding.verdict == CANNOT_TELL
    assert "the same term grew no more than under shuffled grades" in finding.reason
    assert functional_heads.fine_tuning(moves.assign(null_change=0.001)).verdict == AGREES


def heads(changes: list[float], width: float, matter: list[str], detectable: float = 0.015) -> pd.DataFrame:
    verdict = [*matter, *["no detectable effect"] * (len(changes) - len(matter))]
    return pd.DataFrame(
        {
            "layer": 0,
            "head": head,
            **frames.measures(change, width),
            "verdict": one,
            "min_detectable_change": detectable,
        }
        for head, (change, one) in enumerate(zip(changes, verdict, strict=True))
    )


@pytest.mark.parametrize(
    ("frame", "verdict"),
    [
        (heads([-0.05] + [0.0] * 9, 0.015, ["needed"]), AGREES),
        (heads([-0.05] * 6 + [0.0] * 4, 0.015, ["needed"] * 6), DIFFERS),
        (heads([0.0] * 10, 0.015, []), DIFFERS),  # none matters, and an effect would have been seen
        (heads([-0.05] + [0.0] * 9, 0.03, ["needed"]), CANNOT_TELL),
        (heads([0.0] * 10, 0.015, [], detectable=0.05), CANNOT_TELL),
        (heads([np.nan] * 10, 0.015, []), CANNOT_TELL),
    ],
)
def test_single_heads(frame: pd.DataFrame, verdict: str):
    assert redundancy.single_heads(frame, MARGIN).verdict == verdict


@pytest.mark.parametrize(
    ("frame", "verdict"),
    [
        (heads([0.05] + [0.0] * 9, 0.015, ["harmful"]), AGREES),
        (heads([0.0] * 10, 0.015, []), DIFFERS),
        (heads([0.0] * 10, 0.03, []), CANNOT_TELL),
        (heads([np.nan] * 3, 0.03, []), CANNOT_TELL),
    ],
)
def test_harmful_heads(frame: pd.DataFrame, verdict: str):
    assert redundancy.harmful_heads(frame, MARGIN).verdict == verdict


def predictions(right: int, pairs: int = 200) -> pd.DataFrame:
    predicted = np.where(np.arange(pairs) < right, 1, 0)
    return pd.DataFrame({"query_id": np.arange(pairs), "grade": 1, "predicted": predicted})


@pytest.mark.parametrize(
    ("bert", "baseline", "verdict"), [(180, 120, AGREES), (120, 180, DIFFERS), (150, 149, CANNOT_TELL)]
)
def test_against_the_baseline(bert: int, baseline: int, verdict: str):
    finding = bert_against_bilstm(predictions(bert), predictions(baseline), 300, seed=0)
    assert finding.verdict == verdict
    assert f"BERT {bert / 200:.3f}, BiLSTM {baseline / 200:.3f}" in finding.measured


def baseline_finding():
    return bert_against_bilstm(predictions(180), predictions(120), 100, seed=0)


def test_all_findings_in_the_articles_order():
    findings = judge_findings(frames.tables(), baseline_finding())
    assert [finding.id for finding in findings] == list(CLAIMS)
    assert all(finding.reason.endswith(".") and finding.verdict in VERDICTS for finding in findings)


def test_a_model_that_predicts_one_grade_says_nothing_about_masking():
    groups = frames.groups_frame()
    groups.loc[0, [f"predicted_{grade}" for grade in range(5)]] = [0, 0, frames.PAIRS, 0, 0]
    verdicts = {
        finding.id: finding.verdict for finding in judge_findings(frames.tables(groups=groups), baseline_finding())
    }
    assert {verdict for name, verdict in verdicts.items() if name not in ("R0", "T1")} == {CANNOT_TELL}
    assert verdicts["T1"] == AGREES


def test_an_estimate_is_above_or_below_an_edge_only_as_a_whole():
    assert Estimate(0.0, -0.1, 0.1).above(0.05) is None
    assert Estimate(0.0, -0.1, 0.1).above(-0.2) is True
    assert Estimate(0.0, -0.1, 0.1).below(-0.2) is False
    assert Estimate(np.nan, np.nan, np.nan).above(0.0) is None
    assert Estimate(-0.5, -0.6, -0.4).text() == "-50.0% (-60.0% to -40.0%)"


@pytest.mark.parametrize(("value", "text"), [(-0.524, "-52.4%"), (-0.0001, "+0.0%"), (np.nan, "undefined")])
def test_percent(value: float, text: str):
    assert percent(value) == text
