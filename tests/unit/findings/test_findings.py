"""Each finding agrees, differs or cannot tell on frames made so, and quotes the numbers that decided it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pipeline.findings import cls_dependence, functional_heads, redundancy
from pipeline.findings.article import CLAIMS
from pipeline.findings.baselines import graders_compared, rankers_compared
from pipeline.findings.judge import judge_findings
from pipeline.findings.select import Tables
from pipeline.findings.verdict import (
    AGREES,
    CANNOT_TELL,
    DIFFERS,
    NOT_JUDGED,
    VERDICTS,
    Estimate,
    Finding,
    percent,
)
from pipeline.stats.grading_measures import ACCURACY
from pipeline.stats.measure_sets import GRADER, RANKER
from pipeline.tables import group_ablation
from tests.support import frames
from tests.support.frames import group_row

SAFE, FALLEN = (0.0, -0.005, 0.005), (-0.55, -0.58, -0.5)  # 2% of the way is 1.3% of accuracy here
GONE = (-0.63, -0.65, -0.61)  # 95% of the way: collapsed


def shares(rows: dict[str, tuple[float, float, float]], draws: int = 5) -> Tables:
    named = {f"random_share {share}": figures for share, figures in rows.items()}
    return frames.tables(contrasts=frames.contrasts_frame(named or {"random_k random": SAFE}, draws))


@pytest.mark.parametrize(
    ("rows", "draws", "verdict"),
    [
        ({"0.1": SAFE, "0.2": (-0.02, -0.05, 0), "0.5": (-0.2, -0.3, -0.1), "0.9": FALLEN}, 5, AGREES),
        ({"0.1": SAFE, "0.9": FALLEN}, 5, AGREES),
        ({"0.1": (0.03, 0.01, 0.05), "0.9": FALLEN}, 5, AGREES),  # the article saw a rise too
        ({"0.1": (-0.1, -0.14, -0.06), "0.9": FALLEN}, 5, DIFFERS),
        ({"0.1": SAFE, "0.5": (-0.01, -0.013, 0), "0.9": (-0.01, -0.013, 0)}, 5, DIFFERS),
        ({"0.1": SAFE, "0.3": FALLEN, "0.6": (-0.4, -0.5, -0.3), "0.9": (-0.2, -0.3, -0.1)}, 5, DIFFERS),
        # From the share on at which nothing is left to lose, that it loses no more is no contradiction.
        ({"0.1": SAFE, "0.3": (-0.3, -0.4, -0.2), "0.5": GONE, "0.7": GONE, "0.9": (-0.61, -0.63, -0.59)}, 5, AGREES),
        ({"0.1": SAFE, "0.2": GONE, "0.9": GONE}, 5, CANNOT_TELL),
        ({"0.1": (-0.02, -0.05, 0.01), "0.9": FALLEN}, 5, CANNOT_TELL),
        ({"0.1": SAFE, "0.9": (-0.03, -0.06, 0.0)}, 5, CANNOT_TELL),
        ({"0.1": SAFE, "0.9": FALLEN}, 2, CANNOT_TELL),
        ({"0.3": (-0.1, -0.2, -0.05), "0.9": FALLEN}, 5, CANNOT_TELL),
        ({"0.1": SAFE, "0.2": SAFE}, 5, CANNOT_TELL),
        ({}, 5, CANNOT_TELL),
    ],
)
def test_random_heads(rows, draws: int, verdict: str):
    assert redundancy.random_heads(shares(rows, draws)).verdict == verdict


def test_the_reason_is_built_from_the_numbers():
    finding = redundancy.random_heads(shares({"0.1": SAFE, "0.5": (-0.2, -0.25, -0.15), "0.9": FALLEN}))
    assert finding.reason == (
        "Masking 10% costs less than 1.3% (+0.0% (-0.5% to +0.5%), 5 random groups; 1.3% is 2% of the way to a model "
        "that knows nothing); beyond 20% accuracy falls steadily (-55.0% (-58.0% to -50.0%) at "
        "90%, rank correlation of share and loss 1.00); "
        "log loss at 10%: +0.000 (-0.009 to +0.009) nats."
    )
    assert finding.measured.startswith("share masked: mean change; 10%: +0.0%, 50%: ")
    assert (finding.id, finding.statement, finding.article) == ("R1", *CLAIMS["R1"])


LOWER_MORE = (-0.3, -0.4, -0.2)


def layers(difference, single: list[float], width: float = 0.015, halves=(-0.5, -0.3)) -> Finding:
    """R2 of these single layers, halves and difference of the halves."""
    rows = [group_row("half", name, change) for name, change in zip(("lower", "upper"), halves, strict=True)]
    rows += [group_row("layer", str(layer), change, width=width) for layer, change in enumerate(single)]
    contrasts = frames.contrasts_frame({"lower_minus_upper": difference})
    return redundancy.layers(frames.tables(groups=pd.DataFrame(rows), contrasts=contrasts))


@pytest.mark.parametrize(
    ("difference", "single", "width", "verdict"),
    [
        (LOWER_MORE, [-0.01] * 12, 0.015, AGREES),
        ((0.3, 0.2, 0.4), [-0.01] * 12, 0.015, DIFFERS),
        (LOWER_MORE, [-0.01] * 11 + [-0.15], 0.015, DIFFERS),  # one of twelve layers may cost 10%
        (LOWER_MORE, [-0.01] * 5 + [-0.15], 0.015, AGREES),  # one of six 20%, as much of the model
        (LOWER_MORE, [-0.01] * 5 + [-0.25], 0.015, DIFFERS),
        ((-0.02, -0.06, 0.02), [-0.01] * 6, 0.015, CANNOT_TELL),
        (LOWER_MORE, [-0.01] * 5 + [-0.19], 0.03, CANNOT_TELL),
        ((np.nan, np.nan, np.nan), [np.nan, np.nan], 0.015, CANNOT_TELL),
    ],
)
def test_layers(difference, single: list[float], width: float, verdict: str):
    assert layers(difference, single, width).verdict == verdict


@pytest.mark.parametrize(("halves", "verdict"), [((-0.62, -0.66), CANNOT_TELL), ((-0.66, -0.5), DIFFERS)])
def test_two_halves_that_have_both_collapsed_cannot_be_compared(halves, verdict: str):
    finding = layers((0.3, 0.2, 0.4), [-0.01] * 6, halves=halves)
    assert finding.verdict == verdict
    assert ("either half masked leaves a model that knows nothing" in finding.reason.lower()) == (
        verdict == CANNOT_TELL
    )


def test_layers_that_contradict_are_named():
    finding = layers(LOWER_MORE, [-0.01] * 5 + [-0.548])
    assert "1 of 6 single layers cost more than 20% (layer 5 -54.8% (-56.3% to -53.3%))" in finding.reason
    assert "log loss: lower +0.900 (+0.873 to +0.927) nats, upper +0.540" in finding.reason


def test_a_model_of_one_layer_has_no_halves_to_compare():
    one = frames.tables(1, 4, contrasts=frames.contrasts_frame({"random_k random": SAFE}))
    finding = redundancy.layers(one)
    assert finding.verdict == CANNOT_TELL
    assert finding.reason.startswith("A model of one layer has no halves; ")
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
    controls = frames.controls_frame({function: change}, p, **more.pop("compared", {}))
    return frames.tables(**{"groups": groups, "labels": labels, "controls": controls, **more})


LOW_FUNCTIONS = pytest.mark.parametrize(
    ("judged", "group"), [(functional_heads.segmentation, "segmentation"), (functional_heads.word_order, "word_order")]
)


@LOW_FUNCTIONS
@pytest.mark.parametrize(
    ("settings", "verdict"),
    [
        ({"change": -0.1, "p": 0.03}, AGREES),
        ({"change": 0.0, "p": 0.7}, AGREES),  # that such heads exist is the claim, not what masking them costs
        ({"change": np.nan, "p": 0.03}, AGREES),
        ({"change": -0.1, "p": 0.03, "label": False, "low": 0.0}, DIFFERS),  # no low head comes near the threshold
        ({"change": -0.1, "p": 0.03, "label": False, "low": 0.03}, CANNOT_TELL),  # 0.03 to 0.07, the threshold within
    ],
)
def test_low_functions(judged, group: str, settings: dict, verdict: str):
    assert judged(tables(group, **settings)).verdict == verdict


@LOW_FUNCTIONS
def test_what_low_functions_cost_is_told_where_they_decide(judged, group: str):
    value = {"segmentation": "split_word", "word_order": "word_order"}[group]
    slices = frames.example(group_ablation.SLICES, frames.slice_rows(group, value, -0.3)).assign(queries=10)
    compared = {"parts": [("phenomenon", value)]}
    finding = judged(tables(group, -0.1, 0.03, slices=slices, compared=compared))
    cost = f"on phenomenon {value} (40 pairs of 10 queries) -30.0% (-31.5% to -28.5%), in the same layers, median -2.0%"
    assert f"no part of the claim: {cost}" in finding.reason
    assert "p 0.030" in finding.reason
    for undecided in (slices.assign(value="exact"), slices.assign(queries=9)):
        reason = judged(tables(group, -0.1, 0.03, slices=undecided)).reason
        assert "no slice of 10 queries or more on which the function decides" in reason


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
        (-0.5, 0.2, (0.4, 0.3, 0.5), 30, CANNOT_TELL),
    ],
)
def test_term_match(change: float, p: float, spared, masked: int, verdict: str):
    assert term_match(change, p, spared, masked=masked).verdict == verdict


def term_match(change: float, p: float = 0.03, spared=(0.4, 0.3, 0.5), masked=30, rest=-0.4, **compared) -> Finding:
    """F3 of the term-match heads' change, and of the lower half with them masked or spared."""
    rows = [group_row("half", "lower", -0.8), group_row("lower_except", "term_match", rest, masked=masked)]
    contrasts = frames.contrasts_frame(
        {"random_k random": SAFE, "lower_except_term_match_minus_lower": spared, "random_share 0.1": SAFE}
    )
    found = tables("term_match", change, p, rows=rows, contrasts=contrasts, compared=compared)
    return functional_heads.term_match(found)


def test_term_match_heads_are_rare_among_all_groups_that_exist():
    assert term_match(-0.5, 0.2, exhaustive=True).verdict == AGREES
    assert "among all 30 groups" in term_match(-0.5, 0.2, exhaustive=True).reason


def test_a_lower_half_that_leaves_nothing_with_or_without_the_term_match_heads_is_undecided():
    finding = term_match(-0.5, spared=(0.1, 0.05, 0.15), rest=-0.7)
    assert finding.verdict == CANNOT_TELL
    assert "with them or without, the lower half leaves nothing" in finding.reason


def test_term_match_is_told_by_the_primary_measure_too():
    reason = term_match(-0.5).reason
    assert "log loss +0.900 (+0.873 to +0.927) nats, 75% of the way to a model that knows nothing, p 0.030" in reason


@pytest.mark.parametrize(
    ("median", "words"),
    [(SAFE, "within 1.3% of 0"), ((-0.03, -0.05, -0.01), "not shown to be within 1.3% of 0")],
)
def test_that_random_heads_cost_nothing_needs_equivalence(median, words: str):
    finding = functional_heads.term_match(frames.tables(contrasts=frames.contrasts_frame({"random_k random": median})))
    assert f", {words}" in finding.reason


GREW, SHRANK, NEITHER = (0.01, 0.005, 0.015), (-0.01, -0.015, -0.005), (0.0, -0.005, 0.005)
UNDEFINED = (np.nan, np.nan, np.nan)


def fine_tuning(shift: pd.DataFrame) -> Finding:
    return functional_heads.fine_tuning(frames.tables(term_match_shift=shift))


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
    finding = fine_tuning(frames.term_match_shift_frame([surest, weaker], place))
    assert finding.verdict == verdict
    assert finding.measured.startswith("layer 0 head 0, share of a matching term's attention: the same term 0.500 -> ")
    assert f"[{place.upper()}] (the sink)" in finding.measured
    assert f"[{other.upper()}]" not in finding.measured + finding.reason


def test_fine_tuning_counts_the_heads_in_which_each_part_held():
    weaker = {"term_match": GREW, "self": GREW, "cls": NEITHER, "sep": GREW}
    measured = fine_tuning(frames.term_match_shift_frame([frames.SHIFT, weaker])).measured
    assert measured.endswith("of 2 term-match heads: the same term grew in 2; itself shrank in 1; [CLS] shrank in 1")


def test_without_a_term_match_head_fine_tuning_is_undecided():
    finding = fine_tuning(frames.term_match_shift_frame([]))
    assert (finding.verdict, finding.measured) == (CANNOT_TELL, "no term-match head")


def test_what_shuffled_grades_move_as_far_is_no_learning():
    moves = frames.term_match_shift_frame([frames.SHIFT]).assign(null_change=[0.2, 0.0, 0.0, 0.0])
    finding = fine_tuning(moves)
    assert finding.verdict == CANNOT_TELL
    assert "the same term grew no more than under shuffled grades" in finding.reason
    assert fine_tuning(moves.assign(null_change=0.001)).verdict == AGREES


LAYERS, HEADS = 2, 10
MATCHER, OTHER_LOW, HIGH = (0, 0), (0, 5), (1, 3)  # the first is labelled term_match


def heads(changes: dict[tuple[int, int], float], width: float = frames.NARROW, **given) -> Tables:
    """Two layers of ten heads that change nothing but for these relative accuracy changes; `width` of the others."""
    rows = [
        frames.head_row(*head, changes[head]) if head in changes else frames.head_row(*head, 0.0, width, **given)
        for head in np.ndindex(LAYERS, HEADS)
    ]
    slices = frames.head_slices_frame(LAYERS, HEADS)
    return frames.tables(LAYERS, HEADS, heads=frames.ranked_heads(rows), head_slices=slices)


UNDEFINED = heads({}, detectable_to_constant=np.nan)
UNDEFINED.heads.loc[:, ["log_loss_to_constant", "log_loss_change"]] = np.nan
UNDEFINED.heads["verdict"], UNDEFINED.heads["is_inert"] = "undecided", False
BOTH = {MATCHER: -0.05, HIGH: -0.05}
WIDE = 0.03  # an interval of 4.5% of the way to either side


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (heads(BOTH), AGREES),
        (heads(BOTH | {OTHER_LOW: 0.05}), AGREES),  # a harmful one matters too
        (heads(dict.fromkeys([*np.ndindex(1, HEADS), HIGH], -0.05)), DIFFERS),  # 11 of 20
        (heads({OTHER_LOW: -0.05, HIGH: -0.05}), DIFFERS),
        (heads({MATCHER: -0.05, OTHER_LOW: -0.05}), DIFFERS),
        (heads({}), DIFFERS),  # none matters, and an effect would have been seen
        (heads({}, WIDE, detectable_to_constant=0.1), CANNOT_TELL),
        (heads(BOTH, WIDE), CANNOT_TELL),
        (heads(BOTH, WIDE, is_inert=True), AGREES),  # what changes no prediction changes no accuracy
        (UNDEFINED, CANNOT_TELL),
    ],
)
def test_single_heads(found: Tables, verdict: str):
    assert redundancy.single_heads(found).verdict == verdict


def test_heads_that_are_idle_by_their_predictions_alone_are_counted_apart():
    tables = heads(BOTH)
    tables.heads.loc[[2, 4, 7], ["verdict", "is_inert"]] = ["undecided", True]
    tables.heads.loc[8, "is_inert"] = True  # of a verdict already
    assert set(tables.heads["verdict"].value_counts()) == {15, 3, 2}
    assert "18 change about nothing (15 by this measure, 3 more inert" in redundancy.single_heads(tables).measured
    assert "18 change about nothing; most costly" in redundancy.single_heads(heads(BOTH)).measured


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (heads(BOTH), "a low term-match head and a high head are needed (low term-match heads 0.0; high heads 1.3)"),
        (heads({OTHER_LOW: -0.05, HIGH: -0.05}), "none of the low term-match heads is needed (high heads 1.3)"),
        (heads({MATCHER: -0.05}), "none of the high heads is needed (low term-match heads 0.0)"),
        (heads({MATCHER: -0.05}, WIDE), "not both are shown to be needed (low term-match heads 0.0)"),
        (heads({}), "none of the low term-match heads and high heads is needed (neither)"),
    ],
)
def test_the_two_heads_that_the_article_names_are_looked_for(found: Tables, words: str):
    assert words in redundancy.single_heads(found).reason


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (heads({OTHER_LOW: 0.05}), AGREES),
        (heads(BOTH), DIFFERS),
        (heads({}), DIFFERS),
        (heads({}, WIDE), CANNOT_TELL),
        (UNDEFINED, CANNOT_TELL),
    ],
)
def test_harmful_heads(found: Tables, verdict: str):
    assert redundancy.harmful_heads(found).verdict == verdict


def test_why_a_head_harms_is_told():
    """Where the gain lies, and which grade gains."""
    found = heads({MATCHER: 0.05})
    found.heads.loc[0, "logit_shift_3"] = 0.25
    finding = redundancy.harmful_heads(found)
    assert finding.reason.startswith("Removing 0.0 helps (")
    assert "largest gain layer 0 head 0 at -0.090" in finding.reason
    assert "without 0.0 the logit of grade 4 rises most (+0.250)" in finding.reason  # the fourth of "1" to "5"
    assert "surely better, by share of the way, on phenomenon synonym (10.0%); surely worse on none" in finding.reason
    assert "the surest is 1.5 standard errors, by chance the surest of 20 is up to 3.0" in finding.reason
    assert "1 of 20 heads harmful by log loss" in finding.measured


def test_the_primary_measure_decides_what_harms():
    by_accuracy = dataclasses.replace(heads({MATCHER: 0.05}), primary=ACCURACY)
    finding = redundancy.harmful_heads(by_accuracy)
    assert finding.verdict == AGREES
    assert "harmful by accuracy; best layer 0 head 0 at +5.0%" in finding.measured


def predictions(right: int, pairs: int = 200) -> pd.DataFrame:
    predicted = np.where(np.arange(pairs) < right, 1, 0)
    return pd.DataFrame({"query_id": np.arange(pairs), "grade": 1, "predicted": predicted})


@pytest.mark.parametrize(
    ("bert", "baseline", "verdict"), [(180, 120, AGREES), (120, 180, DIFFERS), (150, 149, CANNOT_TELL)]
)
def test_against_the_baseline(bert: int, baseline: int, verdict: str):
    finding = graders_compared(predictions(bert), predictions(baseline), 300, seed=0)
    assert finding.verdict == verdict
    assert f"BERT {bert / 200:.3f}, BiLSTM {baseline / 200:.3f}" in finding.measured


def baseline_finding():
    return graders_compared(predictions(180), predictions(120), 100, seed=0)


def test_all_findings_in_the_articles_order():
    findings = judge_findings(frames.tables(), baseline_finding())
    assert [finding.id for finding in findings] == list(CLAIMS)
    assert all(finding.reason.endswith(".") and finding.verdict in VERDICTS for finding in findings)


def test_a_model_that_is_no_better_than_the_constant_grader_says_nothing_about_its_heads():
    scales = frames.scales_frame(beats_constant=False)
    findings = judge_findings(frames.tables(group_scales=scales), baseline_finding())
    verdicts = {finding.id: finding.verdict for finding in findings}
    assert {verdict for name, verdict in verdicts.items() if name != "R0"} == {CANNOT_TELL}
    assert verdicts["R0"] == AGREES
    assert "not shown to grade better than one that knows the grades' shares alone" in findings[1].reason


def rankers(**changed) -> Tables:
    return frames.tables(of=RANKER, **changed)


def scored(model: list[float], bilstm: list[float] | None, bm25: list[float], queries: int = 40) -> Finding:
    """R0 of as many queries of two titles, the first the better: scores of both titles, the same of every query."""
    pairs = pd.DataFrame({"query_id": np.repeat(np.arange(queries), 2), "grade": np.tile([1, 0], queries)})
    own = pairs.assign(score=np.tile(model, queries), bm25=np.tile(bm25, queries))
    other = pairs[:0].assign(score=0.0) if bilstm is None else pairs.assign(score=np.tile(bilstm, queries))
    return rankers_compared(own, other, 100, seed=0)


RIGHT, WRONG, TIED = [2.0, 1.0], [1.0, 2.0], [1.0, 1.0]


@pytest.mark.parametrize(
    ("model", "bilstm", "bm25", "verdict"),
    [
        (RIGHT, WRONG, TIED, AGREES),
        (RIGHT, RIGHT, TIED, CANNOT_TELL),
        (TIED, WRONG, RIGHT, DIFFERS),
        (RIGHT, None, WRONG, NOT_JUDGED),
    ],
)
def test_a_ranker_against_the_bilstm_and_bm25(model, bilstm, bm25, verdict: str):
    assert scored(model, bilstm, bm25).verdict == verdict


def test_what_rankers_are_compared_by_is_said():
    """Right order 1, wrong 1 / log2(3), tied their mean."""
    finding = scored(RIGHT, WRONG, TIED)
    assert finding.measured == "test nDCG@10: the model 1.000, the BiLSTM 0.631, BM25 0.815"
    assert "the model ranks better than BM25 (difference of nDCG@10 +0.185, +0.185 to +0.185)" in finding.reason
    untrained = scored(TIED, None, RIGHT)
    assert untrained.measured == "test nDCG@10: the model 0.815, BM25 1.000"
    assert untrained.reason == (
        "There are no training pairs, and so no BiLSTM to compare with; the model ranks worse than BM25 "
        "(difference of nDCG@10 -0.185, -0.185 to -0.185)."
    )


def test_a_grader_without_training_pairs_has_no_bilstm_to_compare_with():
    finding = graders_compared(predictions(180), predictions(0)[:0], 100, seed=0)
    assert (finding.verdict, finding.measured) == (NOT_JUDGED, "test accuracy: BERT 0.900")


@pytest.mark.parametrize("of", [GRADER, RANKER])
def test_without_a_model_before_there_is_no_fine_tuning_to_judge(of):
    shift = frames.term_match_shift_frame([])
    finding = functional_heads.fine_tuning(frames.tables(of=of, term_match_shift=shift, has_before=False))
    assert (finding.verdict, finding.id) == (NOT_JUDGED, "T1")
    assert finding.reason == "There is no model before fine-tuning to compare with."


def test_where_no_cls_is_read_no_head_can_be_judged_by_it():
    for judged in (cls_dependence.dependence, cls_dependence.direction):
        assert judged(rankers(pooling="mean")).verdict == NOT_JUDGED
        assert "reads the mean of all positions" in judged(rankers(pooling="mean")).reason
        assert judged(rankers()).verdict != NOT_JUDGED


def test_a_rankers_findings_have_the_verdicts_of_a_grader_whose_model_changes_as_far():
    """The frames of both kinds are as large shares of the way; the verdicts are planted by their article's figures."""
    of_grader, of_ranker = (
        {finding.id: finding for finding in judge_findings(frames.tables(of=of), baseline_finding())}
        for of in (GRADER, RANKER)
    )
    assert {name: one.verdict for name, one in of_ranker.items()} == {
        name: one.verdict for name, one in of_grader.items()
    }
    for name in ("R1", "R2", "F3"):
        assert of_ranker[name].measured == f"by nDCG@10: {of_grader[name].measured}"
        assert of_ranker[name].reason.endswith("changes of accuracy, which these cannot be set beside.")
        assert "pairwise log loss" in of_ranker[name].reason
    assert "2% of the way to a model that scores all titles alike" in of_ranker["R1"].reason
    assert "beyond 20% nDCG@10 falls" in of_ranker["R1"].reason
    assert "what masking them costs of nDCG@10 is no part of the claim" in of_ranker["F2"].reason
    assert "by nDCG@10, whatever the size" in of_ranker["S1"].reason
    judged = [*(one.reason for one in of_ranker.values() if one.id != "R0"), *(of_ranker["S2"].measured,)]
    said = " ".join(judged).replace("changes of accuracy", "")
    assert not {word for word in ("accuracy", "knows nothing", "the logit of grade") if word in said}


@pytest.mark.parametrize(("times", "is_much"), [(1, True), (10, False)])
def test_how_much_a_rankers_term_match_heads_must_cost_follows_its_way(times: int, is_much: bool):
    """NDCG has little to lose where queries have few titles: a loss is much or not beside all that there is to lose."""
    scales = frames.scales_frame(of=RANKER)
    scales.loc[scales["measure"] == RANKER.headline.name, "way"] *= times
    finding = functional_heads.term_match(rankers(group_scales=scales))
    said = {True: "Masking them costs more than random groups", False: "Masking them is not shown to cost more"}
    assert finding.reason.startswith(said[is_much])


def test_why_a_head_harms_a_ranker_is_told_without_grades():
    rows = [frames.head_row(*head, 0.05 if head == MATCHER else 0.0, of=RANKER) for head in np.ndindex(LAYERS, HEADS)]
    slices = frames.head_slices_frame(LAYERS, HEADS, RANKER)
    found = frames.tables(LAYERS, HEADS, of=RANKER, heads=frames.ranked_heads(rows, RANKER), head_slices=slices)
    finding = redundancy.harmful_heads(found)
    assert finding.verdict == AGREES
    assert "without 0.0 surely better, by share of the way, on phenomenon synonym (10.0%)" in finding.reason
    assert finding.measured.endswith("nDCG@10 +5.0%")


def test_a_ranker_no_better_than_equal_scores_says_nothing_about_its_heads_but_what_it_lacks():
    scales = frames.scales_frame(beats_constant=False, of=RANKER)
    findings = judge_findings(rankers(group_scales=scales, has_before=False), scored(RIGHT, None, WRONG))
    verdicts = {finding.id: finding.verdict for finding in findings}
    assert [name for name, verdict in verdicts.items() if verdict == NOT_JUDGED] == ["R0", "T1"]
    assert {verdict for name, verdict in verdicts.items() if name not in ("R0", "T1")} == {CANNOT_TELL}
    assert "rank better than one that scores all titles alike (pairwise accuracy above 0.5)" in findings[1].reason


def test_an_estimate_is_above_or_below_an_edge_only_as_a_whole():
    assert Estimate(0.0, -0.1, 0.1).above(0.05) is None
    assert Estimate(0.0, -0.1, 0.1).above(-0.2) is True
    assert Estimate(0.0, -0.1, 0.1).below(-0.2) is False
    assert Estimate(np.nan, np.nan, np.nan).above(0.0) is None
    assert Estimate(-0.5, -0.6, -0.4).text() == "-50.0% (-60.0% to -40.0%)"


@pytest.mark.parametrize(("value", "text"), [(-0.524, "-52.4%"), (-0.0001, "+0.0%"), (np.nan, "undefined")])
def test_percent(value: float, text: str):
    assert percent(value) == text
