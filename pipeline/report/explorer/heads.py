"""Heads, edges and groups as the explorer shows them: rows of the result tables as records of the contract."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.core.heads import Head as HeadName
from pipeline.findings import select
from pipeline.report.explorer.cells import UNDEFINED, estimate, number, rows_of
from pipeline.report.explorer.contract import (
    AlikeHead,
    Decision,
    Edge,
    Effect,
    Estimate,
    Group,
    GroupEffect,
    Head,
    Measure,
    RandomGroups,
    Score,
    Slice,
)
from pipeline.report.explorer.sentences import head_sentence
from pipeline.report.results import Results
from pipeline.report.tables import GROUP_NAMES
from pipeline.stats import measures as stats

MOST_EDGES, MOST_ALIKE = 5, 3  # of a head: edges to later heads, from earlier heads; heads most alike
HEAD = ["layer", "head"]


def measure_record(results: Results, measure: stats.Measure, queries: int | None) -> Measure:
    """A measure that single heads are tested by, with its scale; `queries` that it is the mean over."""
    scale = select.scale(results.tables.head_scales, measure)
    of_groups = select.scale(results.tables.group_scales, measure)
    return Measure(
        name=measure.name,
        label=measure.label,
        unit=measure.unit,
        better=measure.better,
        is_relative=measure.is_relative,
        is_distance=measure.is_distance,
        unmasked=number(scale["unmasked"]),
        margin=number(scale["margin"]),
        group_unmasked=number(of_groups["unmasked"]),
        group_constant=number(of_groups["constant"]),
        queries=queries,
    )


def slices_of(frame: pd.DataFrame) -> list[Slice]:
    """The parts of the test split in a table of slices, in its order."""
    parts = frame.drop_duplicates(["slice", "value"])
    return [
        Slice(column=row["slice"], value=row["value"], pairs=int(row["pairs"]), queries=int(row["queries"]))
        for row in rows_of(parts)
    ]


def head_records(results: Results, attention_shift: pd.DataFrame, distances: np.ndarray) -> list[Head]:
    """All heads.

    Args:
        attention_shift: `tables.attention.ATTENTION_SHIFT`, of no rows without a model before fine-tuning.
        distances: of two heads, [head, head].
    """
    width = results.shape[1]
    labels, slices = _by_head(results.tables.labels), _by_head(results.tables.head_slices)
    shifts, unlabelled = _by_head(attention_shift), _by_head(results.unlabelled_heads)
    functions = results.head_embedding.set_index(HEAD)["function"]
    decisions = _by_head(results.pruning.decision)
    order = [(part.column, part.value) for part in slices_of(results.tables.head_slices)]
    heads = []
    for row in rows_of(results.heads.sort_values(HEAD)):
        name = HeadName.of_row(row)
        of_slices = slices.get(name, results.tables.head_slices.head(0))
        worse, better = results.words.tallies
        function = functions.get(tuple(name))
        heads.append(
            Head(
                layer=name.layer,
                head=name.head,
                sentence=head_sentence(row, labels[name], of_slices, results.measures, results.primary),
                verdict=row["verdict"],
                is_inert=bool(row["is_inert"]),
                worse=int(row[worse]),
                better=int(row[better]),
                effects=[_effect(row, measure) for measure in results.measures.tested],
                unlabelled=[_effect(rows_of(unlabelled[name])[0], measure) for measure in results.measures.label_free]
                if name in unlabelled
                else [],
                mean_to_constant=number(row["mean_to_constant"]),
                resample_to_constant=number(row["resample_to_constant"]),
                gradient_importance=number(row["gradient_importance"]),
                function=function if isinstance(function, str) and function else None,
                scores=_scores(labels[name], shifts.get(name)),
                slices=_in_order(of_slices, order),
                sure_slices=_sure(of_slices, order),
                alike=_alike(distances, name.layer * width + name.head),
                decision=_decision(decisions.get(name)),
            )
        )
    return heads


def _by_head(frame: pd.DataFrame) -> dict[HeadName, pd.DataFrame]:
    if frame.empty:
        return {}
    return {HeadName.of_row(rows.iloc[0]): rows for _, rows in frame.groupby(HEAD, sort=False)}


def _effect(row: Mapping[str, Any], measure: stats.Measure) -> Effect:
    return Effect(
        change=estimate(row, measure.change),
        to_constant=number(row[measure.to_constant]),
        q=number(row[f"{measure.name}_q"]),
    )


def _scores(labels: pd.DataFrame, shifts: pd.DataFrame | None) -> list[Score]:
    after = _by_function(labels)
    moved = {} if shifts is None else _by_function(shifts)
    scores = []
    for function in FUNCTIONS:
        row, shift = after[function], moved.get(function)
        scores.append(
            Score(
                score=number(row["score"]),
                control=number(row["control"]),
                difference=estimate(row, "difference"),
                before=None if shift is None else number(shift["before"]),
                change=UNDEFINED if shift is None else estimate(shift, "change"),
                change_q=None if shift is None else number(shift["q"]),
                is_labelled=bool(row["is_labelled"]),
            )
        )
    return scores


def _by_function(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["function"]: row for row in rows_of(rows)}


def _in_order(rows: pd.DataFrame, order: Sequence[tuple[str, str]]) -> list[Estimate]:
    """Changes on the slices, in the order given; undefined ones of slices without a row."""
    found = {(row["slice"], row["value"]): estimate(row, "change") for row in rows_of(rows)}
    return [found.get(part, UNDEFINED) for part in order]


def _sure(rows: pd.DataFrame, order: Sequence[tuple[str, str]]) -> list[int]:
    sure = {(row["slice"], row["value"]) for row in rows_of(rows) if row["is_sure"]}
    return [place for place, part in enumerate(order) if part in sure]


def _alike(distances: np.ndarray, head: int) -> list[AlikeHead]:
    nearest = [other for other in np.argsort(distances[head], kind="stable").tolist() if other != head]
    return [AlikeHead(head=other, distance=float(f"{distances[head, other]:.6g}")) for other in nearest[:MOST_ALIKE]]


def _decision(rows: pd.DataFrame | None) -> Decision | None:
    if rows is None:
        return None
    row = rows_of(rows)[0]
    return Decision(decision=row["decision"], reason=row["reason"], frequency=number(row.get("frequency")))


def edge_records(edges: pd.DataFrame, heads_per_layer: int) -> list[Edge]:
    """The strongest edges out of and into each head, by source and target."""
    if edges.empty:
        return []
    ends = {end: edges[f"{end}_layer"] * heads_per_layer + edges[f"{end}_head"] for end in ("source", "target")}
    numbered = edges.assign(**ends)
    strongest = numbered.sort_values("js", ascending=False, kind="stable")
    kept = pd.concat([strongest.groupby(end, sort=False).head(MOST_EDGES) for end in ends])
    rows = rows_of(kept.drop_duplicates(list(ends)).sort_values(list(ends)))
    return [Edge(source=int(row["source"]), target=int(row["target"]), js=estimate(row, "js")) for row in rows]


def group_slices_of(results: Results) -> list[Slice]:
    """Slices of groups.csv's pairs."""
    return slices_of(results.slices[results.slices["measure"] == results.headline.name])


def group_records(results: Results) -> list[Group]:
    """Every set of heads that was masked, by one group each: one of those with slices where there is one."""
    order = [(part.column, part.value) for part in group_slices_of(results)]
    by_group = dict(
        tuple(results.slices[results.slices["measure"] == results.headline.name].groupby(["group_type", "group"]))
    )
    masked = results.groups[results.groups["heads_masked"] > 0]
    masked = masked.assign(has_collapsed=results.collapsed(masked))
    has_slices = pd.MultiIndex.from_frame(masked[["group_type", "group"]]).isin(by_group)
    masked = pd.concat([masked[has_slices], masked[~has_slices]]).drop_duplicates("members")
    return [_group(row, results, by_group.get((row["group_type"], row["group"])), order) for row in rows_of(masked)]


def _group(
    row: Mapping[str, Any], results: Results, slices: pd.DataFrame | None, order: Sequence[tuple[str, str]]
) -> Group:
    is_function = row["group_type"] == "function"
    random = (
        select.layer_matched(select.controls(results.tables.controls, row["group"], results.headline))
        if is_function
        else None
    )
    return Group(
        type=row["group_type"],
        name=_group_name(row),
        heads=members(row["members"], results.shape[1]),
        effects=[
            GroupEffect(masked=number(row[measure.name]), change=estimate(row, measure.change))
            for measure in results.measures.tested
        ],
        has_collapsed=bool(row["has_collapsed"]),
        slices=[] if slices is None else _in_order(slices, order),
        random=None
        if random is None
        else RandomGroups(
            count=random.random_groups,
            median=number(random.median),
            lowest=number(random.lowest),
            highest=number(random.highest),
            p=number(random.p),
        ),
    )


def _group_name(row: Mapping[str, Any]) -> str:
    """What the group is, with what tells it from others of its type."""
    kind, name = row["group_type"], str(row["group"])
    if kind in DRAWN:
        share = f"{float(name):.0%}" if kind == "random_share" else name
        return DRAWN[kind].format(share, row["replicate"])
    return f"{name}, best {int(row['k'])}" if pd.notna(row["k"]) else GROUP_NAMES.get(kind, "{}").format(name)


# Names by type of group, from its own name and the number of the draw.
DRAWN = {
    "random_share": "{0} of the heads at random, draw {1}",
    "random_k": "heads at random, draw {1}",
    "layer_matched": "random heads of the layers of {0}, draw {1}",
}


def members(text: Any, heads_per_layer: int) -> list[int]:
    """Heads of a group of groups.csv, such as "1.1 2.9", by number."""
    names = [HeadName.from_short(name) for name in text.split()] if isinstance(text, str) else []
    return sorted(name.layer * heads_per_layer + name.head for name in names)
