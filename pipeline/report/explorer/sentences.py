"""A head in one plain sentence: what it looks at, what goes without it, where it matters most."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.attention.head_labels import IDLE
from pipeline.core.heads import Head
from pipeline.report.explorer.cells import rows_of
from pipeline.stats.measure_sets import RANKER, MeasureSet
from pipeline.stats.measures import Measure

MOST_FUNCTIONS = 2  # named of a head
LOOKS_AT = {
    "term_match": "the same term in the other text",
    "segmentation": "the other pieces of its own word",
    "previous_term": "the word before",
    "next_term": "the word after",
    "self": "the token itself",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "cross_text": "the other text",
    "entropy": "many tokens evenly",
}


def head_sentence(
    row: Mapping[str, Any], labels: pd.DataFrame, slices: pd.DataFrame, measures: MeasureSet, primary: Measure
) -> str:
    """The sentence of a head.

    Args:
        row: of heads.csv. labels: the head's rows of labels.csv. slices: the head's rows of head_slices.csv.
        primary: measure that decides verdicts.
    """
    parts = [f"{Head.of_row(row).name.capitalize()} {_looks_at(labels)}", _without(row, measures, primary)]
    return "; ".join([*parts, *_matters_most(slices)]) + "."


def _looks_at(labels: pd.DataFrame) -> str:
    """Its labels, the surest first, each with score and control in percent."""
    sure = labels[labels["is_labelled"]].sort_values("written_difference_low", ascending=False, kind="stable")
    named = [
        f"{LOOKS_AT[row['function']]} ({_share(row['score'])}, control {_share(row['control'])})"
        for row in rows_of(sure.head(MOST_FUNCTIONS))
    ]
    return f"looks at {' and at '.join(named)}" if named else _looks_idly(labels)


def _looks_idly(labels: pd.DataFrame) -> str:
    """What a head without a label attends to for sure, and why that is no function of it."""
    idle = labels[(labels["difference_low"] > 0) & (labels["relative_write_low"] <= IDLE)]
    if idle.empty:
        return "looks at nothing that is scored here"
    row = rows_of(idle.sort_values("difference_low", ascending=False, kind="stable"))[0]
    return (
        f"has no function: it looks at {LOOKS_AT[row['function']]} ({_share(row['score'])}, control "
        f"{_share(row['control'])}), but hardly writes anything of it"
    )


def _without(row: Mapping[str, Any], measures: MeasureSet, primary: Measure) -> str:
    if row["verdict"] == "no effect":
        return f"without it the {primary.label} hardly changes"
    change = row[measures.headline.change]
    if pd.isna(change):
        return f"without it the change of {measures.headline.label} is undefined"
    size = f"{abs(100 * change):.1f}%"
    if size == "0.0%":
        moved = "nDCG@10 is the same" if measures is RANKER else "as many pairs are graded right"
    elif measures is RANKER:
        moved = f"nDCG@10 is {size} {'lower' if change < 0 else 'higher'}"
    else:
        moved = f"{size} {'fewer' if change < 0 else 'more'} pairs are graded right"
    low, high = (row[f"{measures.headline.change}_{end}"] for end in ("low", "high"))
    unsure = "" if low > 0 or high < 0 else ", which may be chance"
    return f"without it {moved}{unsure}"


def _matters_most(slices: pd.DataFrame) -> list[str]:
    """The slice that surely loses most, if any."""
    lost = slices[slices["is_sure"] & (slices["to_constant"] > 0)]
    if lost.empty:
        return []
    most = rows_of(lost.sort_values("to_constant", kind="stable"))[-1]
    return [f"it matters most where {most['slice']} is {most['value']}"]


def _share(value: float) -> str:
    return "undefined" if pd.isna(value) else f"{100 * value:.0f}%"
