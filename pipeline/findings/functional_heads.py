"""Heads of a function and fine-tuning: the article's findings F1, F2, F3 and T1.

Changes are relative changes of the headline measure as fractions, scores are shares of attention; a part holds or fails
only where its whole 95% interval says so.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.core.heads import Head
from pipeline.findings import select
from pipeline.findings.verdict import MIN_RANDOM_GROUPS, Estimate, Finding, Part, conclude, not_judged
from pipeline.stats.bootstrap import SIGNIFICANCE
from pipeline.stats.measure_sets import GRADER
from pipeline.stats.measures import Measure

COSTS_MUCH_MORE = 0.10  # F3: extra loss over the median random group; of a ranker, of the way to the constant one
SLICE_QUERIES = 10  # F1, F2: queries of a slice that something is said of

PLACES = {"term_match": "the same term", "self": "itself", "cls": "[CLS]", "sep": "[SEP]"}  # T1: attended to


FUNCTIONS = {"segmentation": ("segmentation",), "word_order": ("previous_term", "next_term")}
# Group -> the slices on which its function decides, as (slice, value), the first that the data has counts most.
NEEDED_ON = {
    "segmentation": (("phenomenon", "split_word"), ("phenomenon", "multi_word"), ("word_pieces", "split")),
    "word_order": (("phenomenon", "word_order"), ("term_order", "other")),
}


def segmentation(tables: select.Tables) -> Finding:
    """F1: a low head attends within its own word."""
    return _low_function("F1", "segmentation", tables)


def word_order(tables: select.Tables) -> Finding:
    """F2: a low head attends to the term before or after."""
    return _low_function("F2", "word_order", tables)


def _low_function(name: str, group: str, tables: select.Tables) -> Finding:
    low, functions = tables.labels[tables.labels["layer"] < select.first_high_layer(tables.labels)], FUNCTIONS[group]
    parts = [_labelled_low(low, functions, tables.label_threshold), _cost_where_needed(tables, group)]
    return conclude(name, _low_labels(low, functions), parts)


def _low_labels(low: pd.DataFrame, functions: Sequence[str]) -> str:
    """Which heads are labelled with one of the functions, from the low heads' rows of labels.csv."""
    heads = dict.fromkeys(select.labelled(low, *functions))
    names = f": {', '.join(sorted(head.short for head in heads))}" if heads else ""
    return f"{len(heads)} of {len(low[['layer', 'head']].drop_duplicates())} low heads labelled{names}"


def _labelled_low(low: pd.DataFrame, functions: Sequence[str], threshold: float) -> Part:
    """Whether some head is labelled with one of the functions, from the low heads' rows of labels.csv."""
    heads = low[low["function"].isin(functions)].dropna(subset=["difference_low"])
    if heads.empty:
        return Part(None, f"{' and '.join(functions)} undefined in the low layers of this data")
    best, labelled = heads.sort_values("difference_low").iloc[-1], len(set(select.labelled(heads, *functions)))
    return Part.of(
        True if labelled else False if (heads["difference_high"] < threshold).all() else None,
        yes=f"{labelled} low head{'s are' if labelled > 1 else ' is'} labelled",
        no="no low head is labelled",
        unsure="scores of low heads are not clearly below the label threshold",
        figures=f"{Head.of_row(best).name}, {best['function']}: {best['score']:.2f}, control {best['control']:.2f}",
    )


def _cost_where_needed(tables: select.Tables, group: str) -> Part:
    """What masking the heads costs where the function decides, and elsewhere: a remark, as the article claims nothing.

    The random groups beside hold none of another function's strongest heads, which would cost for another reason.
    """
    frame = tables.slices[(tables.slices["group"] == group) & (tables.slices["measure"] == tables.headline.name)]
    frame = frame[frame["queries"] >= SLICE_QUERIES]
    parts = set(zip(frame["slice"], frame["value"], strict=True))
    decided: list[tuple[str, str]] = [part for part in NEEDED_ON[group] if part in parts]
    if not decided:
        return Part(True, f"no slice of {SLICE_QUERIES} queries or more on which the function decides")
    costs = [_cost_on(tables, frame, group, part) for part in decided]
    what = f"what masking them costs{tables.words.of_headline}"
    return Part(True, f"{what} is no part of the claim: {'; '.join(costs)}")


def _cost_on(tables: select.Tables, frame: pd.DataFrame, group: str, part: tuple[str, str]) -> str:
    row = frame[(frame["slice"] == part[0]) & (frame["value"] == part[1])].iloc[0]
    cost = select.long_estimate(row, tables.headline).text()
    controls = select.controls(tables.controls, group, tables.headline, part, without_strongest=True)
    control = select.layer_matched(controls)
    random = f", {control.text()}, p {control.p:.3f}" if control else ""
    return f"on {part[0]} {part[1]} ({row['pairs']} pairs of {row['queries']} queries) {cost}{random}"


def _against_random(tables: select.Tables, function: str) -> str:
    masked = select.estimate(tables.groups, "function", function, tables.headline)
    random = "; ".join(control.text() for control in select.controls(tables.controls, function, tables.headline))
    return f"best heads masked: {masked.text()}; as many at random: {random or 'none'}"


def term_match(tables: select.Tables) -> Finding:
    """F3: the term-match heads cost much more than random ones; keeping them spares much of the lower half's loss."""
    lower = select.estimate(tables.groups, "half", "lower", tables.headline)
    rest = select.estimate(tables.groups, "lower_except", "term_match", tables.headline)
    measured = f"{_against_random(tables, 'term_match')}; lower half {lower.text()}, except them {rest.text()}"
    way = 1.0 if tables.measures is GRADER else abs(float(select.scale(tables.group_scales, tables.headline)["way"]))
    parts = [_costs_more(tables, "term_match", COSTS_MUCH_MORE * way), _spared(tables), _random_cost(tables)]
    return conclude("F3", measured, [*parts, *(_cost_beside(tables, measure) for measure in tables.beside)])


def _costs_more(tables: select.Tables, function: str, extra: float) -> Part:
    """Whether masking a function's heads costs more than layer-matched random groups, by at least `extra`.

    Where every such group was masked, none of them may cost as much.
    """
    masked = select.estimate(tables.groups, "function", function, tables.headline)
    control = select.layer_matched(select.controls(tables.controls, function, tables.headline))
    if control is None or control.random_groups < MIN_RANDOM_GROUPS or np.isnan(masked.value):
        return Part(None, f"masking them ({masked.text()}) has too few random groups to compare with")
    rare = control.p <= SIGNIFICANCE or (control.exhaustive and control.percentile == 0)
    usual = control.percentile >= 0.5 or masked.within(select.size_that_matters(tables.group_scales, tables.headline))
    every = "all " if control.exhaustive else ""
    return Part.of(
        True if rare and control.median - masked.value >= extra else False if usual else None,
        yes="masking them costs more than random groups",
        no="masking them costs no more than most random groups",
        unsure="masking them is not shown to cost more than random groups",
        figures=f"p {control.p:.3f} among {every}{control.random_groups} groups of as many heads in each layer",
    )


def _spared(tables: select.Tables) -> Part:
    """Whether masking the lower half costs less where its term-match heads stay unmasked."""
    if select.has_one_layer(tables.groups):
        return Part(None, "a model of one layer has no lower half")
    if select.heads_masked(tables.groups, "lower_except", "term_match") == 0:
        return Part(None, "they are the whole lower half")
    spared = select.contrast(tables.contrasts, "lower_except_term_match_minus_lower", tables.headline)
    halves = ("half", "lower"), ("lower_except", "term_match")
    if select.have_collapsed(tables.groups, tables.measures.collapse_by, *halves):
        return Part(None, f"with them or without, the lower half leaves nothing (difference {spared.text()})")
    return Part.of(
        spared.above(0.0),
        yes="the lower half costs less where they stay unmasked",
        no="the lower half costs as much where they stay unmasked",
        unsure="the lower half is not shown to cost less where they stay unmasked",
        figures=f"difference {spared.text()}",
    )


def _random_cost(tables: select.Tables) -> Part:
    """Headline change with as many random heads masked: a remark, since the finding is about the difference."""
    median = select.contrast(tables.contrasts, "random_k random", tables.headline)
    margin = select.size_that_matters(tables.group_scales, tables.headline)
    outcome = "" if median.within(margin) else "not shown to be "
    return Part(True, f"the median change of random groups is {median.text()}, {outcome}within {margin:.1%} of 0")


def _cost_beside(tables: select.Tables, measure: Measure) -> Part:
    """The same by another measure, and how far it goes: a remark."""
    row = tables.groups[(tables.groups["group_type"] == "function") & (tables.groups["group"] == "term_match")]
    if row.empty:
        return Part(True, f"{measure.label} undefined")
    control = select.layer_matched(select.controls(tables.controls, "term_match", measure))
    rank = f", p {control.p:.3f} among the random groups" if control else ""
    share = float(row[measure.to_constant].iloc[0])
    way = "worse than" if share > 1 else f"{share:.0%} of the way to"
    change = select.row_estimate(row.iloc[0], measure).text()
    return Part(True, f"{measure.label} {change}, {way} a model that {tables.words.nothing}{rank}")


def fine_tuning(tables: select.Tables) -> Finding:
    """T1: in the surest term-match head attention to the same term grew, to itself and to the sink shrank.

    Of the attention of tokens of a term that both texts hold, all three; beyond the drift null where there is one.
    """
    if not tables.has_before:
        return not_judged("T1", "not measured", "there is no model before fine-tuning to compare with")
    term_match_shift = tables.term_match_shift
    if term_match_shift.empty:
        return conclude("T1", "no term-match head", [Part(None, "no head is labelled with term_match on half of dev")])
    shifts = term_match_shift[term_match_shift["is_sink"] | term_match_shift["function"].isin(["term_match", "self"])]
    surest = [row for _, row in shifts[shifts["rank"] == 1].iterrows()]
    values = "; ".join(f"{_place(row)} {row['before']:.3f} -> {row['after']:.3f}" for row in surest)
    held = shifts[[_holds(row) is True for _, row in shifts.iterrows()]]["function"].value_counts()
    counts = "; ".join(
        f"{PLACES[name]} {_direction(name)} in {held.get(name, 0)}" for name in (row["function"] for row in surest)
    )
    head = Head.of_row(surest[0]).name
    measured = (
        f"{head}, share of a matching term's attention: {values}; of {shifts['rank'].max()} term-match heads: {counts}"
    )
    return conclude("T1", measured, [_shifted(row) for row in surest])


def _place(row: pd.Series) -> str:
    return PLACES[row["function"]] + (" (the sink)" if row["is_sink"] else "")


def _direction(function: str) -> str:
    """What the article saw of this place."""
    return "grew" if function == "term_match" else "shrank"


def _holds(row: pd.Series) -> bool | None:
    """Whether the change has the article's direction, by its whole interval."""
    change = Estimate(row["change"], row["change_low"], row["change_high"])
    return change.above(0.0) if row["function"] == "term_match" else change.below(0.0)


def _shifted(row: pd.Series) -> Part:
    if np.isnan(row["change"]):
        return Part(None, f"attention to {_place(row)} is undefined in this data")
    holds, attention, did = _holds(row), f"attention to {_place(row)}", _direction(row["function"])
    figures = f"{row['change']:+.4f}, {row['change_low']:+.4f} to {row['change_high']:+.4f}"
    if holds and "null_change" in row and not abs(row["change"]) > abs(row["null_change"]):
        return Part(None, f"{attention} {did} no more than under shuffled grades ({figures})")
    return Part.of(
        holds,
        yes=f"{attention} {did}",
        no=f"{attention} {'shrank' if did == 'grew' else 'grew'}",
        unsure=f"whether {attention} {did} is not decided",
        figures=figures,
    )
