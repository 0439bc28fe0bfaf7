"""Heat maps of slices of the pairs: what masking groups of heads, or single heads, changes on each slice."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.core.heads import Head
from pipeline.findings.verdict import percent
from pipeline.findings.wording import Wording
from pipeline.report import heatmaps
from pipeline.report.canvas import FigureText, RenderedFigure, blank_figure, inches, panel, render_figure
from pipeline.report.colours import CHANGES, GREY, SHARES_OF_WAY
from pipeline.report.text import shortened, width
from pipeline.stats.measures import Measure

COLUMN = 0.5  # inches of a group or head
COUNTS = 0.45  # inches of the column of pair counts
LETTER = 0.077  # inches a column of a label
ROW_LABEL, COLUMN_LABEL = 40, 28  # columns of a label
MOST_HEADS = 12  # heads drawn of those with a sure change
SLICE = ["slice", "value"]  # what names a slice: by what the pairs are sliced, and the part


@dataclass(frozen=True)
class Sliced:
    """What is sliced: which pairs, such as "448 pairs of the test split", and the words of their model."""

    pairs: str
    words: Wording

    @property
    def way(self) -> str:
        return (
            f"as a share of the way on the whole sample from the unmasked model (0) to the {self.words.constant}, "
            f"which {self.words.knows} (100%)"
        )

    @property
    def counts(self) -> str:
        """What a slice's number is, and whose changes it has."""
        return f"Each slice is named with its number of pairs.{self.words.slices}"


@dataclass(frozen=True)
class Matrix:
    """A matrix of changes: a row per slice, a column per masked group or head.

    Attributes:
        percent: the changes, NaN where there is none; index (by SLICE) and columns in the order drawn.
        is_sure: whether the interval leaves out 0, bool [slice, column].
        colours: scale on which red is worse.
        label: of the scale.
    """

    percent: pd.DataFrame
    is_sure: np.ndarray
    colours: str
    label: str

    @classmethod
    def of(cls, changes: pd.DataFrame, masked: str, column: str, colours: str, label: str) -> "Matrix":
        """Matrix of a column of fractions; `masked`: the column that names what is masked. `is_sure` as the frame's."""
        order = pd.MultiIndex.from_frame(changes[SLICE].drop_duplicates())

        def pivot(values: str) -> pd.DataFrame:
            table = changes.pivot(index=SLICE, columns=masked, values=values)
            return table.reindex(index=order, columns=changes[masked].unique())

        return cls(100 * pivot(column).astype(float), pivot("is_sure").eq(True).to_numpy(dtype=bool), colours, label)


def subgroup_chart(changes: pd.DataFrame, sliced: Sliced, beside: Sequence[Measure] = ()) -> RenderedFigure:
    """Heat maps of the changes of groups of heads (column) on slices (row): of the headline measure and those beside.

    Args:
        changes: rows of slices.csv; rows and columns keep its order.
        sliced: the pairs.
    """
    figure = slices_heatmap(group_matrices(changes, sliced.words, beside), pair_counts(changes))
    return render_figure(figure, _subgroup_text(changes, sliced, beside))


def group_matrices(changes: pd.DataFrame, words: Wording, beside: Sequence[Measure]) -> list[Matrix]:
    """Matrix of the relative headline changes of groups, and of the share of the way of each measure beside."""
    headline = (words.measures.headline, "change", CHANGES, words.change_axis)
    sure = changes.assign(is_sure=_excludes_zero(changes))
    shares = [(measure, "to_constant", SHARES_OF_WAY, f"{measure.label}, % of the way") for measure in beside]
    return [
        Matrix.of(sure[sure["measure"] == measure.name], "group", column, colours, label)
        for measure, column, colours, label in [headline, *shares]
    ]


def _excludes_zero(changes: pd.DataFrame) -> pd.Series:
    """Whether the interval excludes 0; False where undefined."""
    return (changes["change_low"] > 0) | (changes["change_high"] < 0)


def pair_counts(changes: pd.DataFrame) -> pd.Series:
    """Number of pairs of each slice, in the frame's order."""
    return changes.groupby(SLICE, sort=False)["pairs"].first()


def most_affected(changes: pd.DataFrame) -> pd.DataFrame:
    """Rows of head_slices.csv of the heads with a sure change on a slice, the most affected head first.

    A column `name` holds the head as "layer.head".
    """
    sizes = changes["to_constant"].abs().where(changes["is_sure"])
    largest = sizes.groupby([changes["layer"], changes["head"]]).max().dropna()
    order = largest.sort_values(ascending=False, kind="stable").index
    rank = {Head(int(layer), int(head)).short: place for place, (layer, head) in enumerate(order)}
    named = changes.assign(name=[Head.of_row(row).short for _, row in changes.iterrows()])
    kept = named[named["name"].isin(rank)]
    return kept.sort_values("name", key=lambda names: names.map(rank), kind="stable")


def head_slice_chart(changes: pd.DataFrame, measure: Measure, sliced: Sliced) -> RenderedFigure | None:
    """Heat map of the changes of single heads (column) on slices (row); None where no change is sure.

    Args:
        changes: rows of head_slices.csv.
        measure: what changes. sliced: as of `subgroup_chart`.
    """
    affected = most_affected(changes)
    heads = affected["name"].unique()
    if not len(heads):
        return None
    shown = affected[affected["name"].isin(heads[:MOST_HEADS])]
    figure = slices_heatmap([head_matrix(shown, measure)], pair_counts(shown))
    return render_figure(figure, _head_slice_text(changes, shown, len(heads), measure, sliced))


def why_no_head_slices(changes: pd.DataFrame, measure: Measure, words: Wording) -> str:
    """A sentence on why there is no `head_slice_chart`, of the same rows."""
    if not changes["is_sure"].any():
        return f"No figure: no single head surely changes {measure.label} on a slice."
    return (
        f"No figure of these changes: it draws them as shares of the way to the {words.constant}, and by "
        f"{measure.label} the unmasked model is no better than that."
    )


def head_matrix(shown: pd.DataFrame, measure: Measure) -> Matrix:
    """Matrix of the heads' shares of the way, from rows of `most_affected`."""
    return Matrix.of(shown, "name", "to_constant", SHARES_OF_WAY, f"{measure.label}, % of the way")


def slices_heatmap(matrices: Sequence[Matrix], counts: pd.Series) -> Figure:
    """Heat maps beside each other that share their slices; a scale ends at the largest sure change.

    Args:
        counts: pairs of each slice, in the matrices' order.
    """
    rows = _short([f"{slicing}: {value}" for slicing, value in counts.index], ROW_LABEL)
    columns = _short([name for matrix in matrices for name in matrix.percent.columns], COLUMN_LABEL)
    left = 0.2 + LETTER * max(map(width, rows)) + COUNTS
    slant = LETTER * max(map(width, columns)) * math.cos(math.radians(heatmaps.SLANT)) + 0.15
    across, up = heatmaps.panel_size(matrices[0].percent.to_numpy(), COLUMN)
    pitch = across + max(heatmaps.SCALE, slant)
    figure = blank_figure(left + len(matrices) * pitch, up + slant + 0.2)
    panels = [panel(figure, left + number * pitch, 0.1, across, up) for number in range(len(matrices))]
    for axes, matrix in zip(panels, matrices, strict=True):
        _draw_matrix(axes, matrix)
    _label_slices(panels[0], rows, counts)
    return figure


def _draw_matrix(axes: Axes, matrix: Matrix) -> None:
    """Cells with their numbers, names over the columns, and a line between two ways to slice."""
    values = matrix.percent.to_numpy()
    norm = heatmaps.centred_norm(values[matrix.is_sure] if matrix.is_sure.any() else values, least=0.1)
    heatmaps.fill_cells(axes, values, norm, matrix.colours)
    heatmaps.annotate_cells(axes, values, norm, matrix.colours, heatmaps.signed)
    heatmaps.quieten_cells(axes, matrix.is_sure)
    heatmaps.frame_cells(axes, matrix.is_sure, values, norm, matrix.colours)
    heatmaps.head_columns(axes, _short(matrix.percent.columns, COLUMN_LABEL), above=0.08)
    heatmaps.colour_bar(axes, norm, matrix.colours, matrix.label)
    slicings = matrix.percent.index.get_level_values(0)
    for row in np.flatnonzero(slicings[1:] != slicings[:-1]):
        axes.axhline(row + 0.5, color=GREY, lw=0.8)


def _short(names: Iterable[object], columns: int) -> list[str]:
    return [shortened(str(name), columns) for name in names]


def _label_slices(axes: Axes, rows: Sequence[str], counts: pd.Series) -> None:
    """Write each slice's name, and its number of pairs next to its cells."""
    heatmaps.label_rows(axes, [str(count) for count in counts], fontsize=8)
    beyond = -(heatmaps.PAD + COUNTS) / inches(axes)[2]
    for row, label in enumerate(rows):
        axes.text(beyond, row, label, transform=axes.get_yaxis_transform(), ha="right", va="center")
    across, up = inches(axes)[2:]
    axes.text(-heatmaps.PAD / across, 1 + 0.08 / up, "pairs", transform=axes.transAxes, ha="right", fontsize=8)


def _subgroup_text(changes: pd.DataFrame, sliced: Sliced, beside: Sequence[Measure]) -> FigureText:
    headline = sliced.words.measures.headline
    defined = (
        changes[changes["measure"] == headline.name].dropna(subset=["change"]).sort_values("change", kind="stable")
    )
    worst = "no change is defined"
    if len(defined):
        row = defined.iloc[0]
        group, name = shortened(str(row["group"]), COLUMN_LABEL), shortened(str(row["value"]), ROW_LABEL)
        worst = f"largest loss: {group} masked on {name}, {percent(float(row['change']))}"
    below = "".join(f" At the right, the change of {measure.label}, {sliced.way}." for measure in beside)
    return FigureText(
        name="subgroups",
        title="Groups of heads by slice of the pairs",
        alt=f"Table of the {headline.label} change by group of heads masked and slice of the pairs; {worst}.",
        caption=f"Change of {headline.label} when the named heads are masked, in percent of the unmasked "
        f"{headline.label} on the same slice, from {sliced.pairs}.{below} Red cells are worse, blue ones better. A "
        f"framed cell's interval excludes 0 ({_excludes_zero(defined).sum()} of {len(defined)} cells of "
        f"{headline.label}); other changes are not significant. {sliced.counts}",
    )


def _head_slice_text(
    changes: pd.DataFrame, shown: pd.DataFrame, heads: int, measure: Measure, sliced: Sliced
) -> FigureText:
    sure = shown[shown["is_sure"]]
    drawn, worst = shown["name"].nunique(), sure.iloc[int(sure["to_constant"].abs().to_numpy().argmax())]
    every = f"the {drawn} most affected of {heads} heads" if drawn < heads else f"the {heads} heads"
    return FigureText(
        name="head_slices",
        title="Single heads by slice of the pairs",
        alt=f"Table of the change of {measure.label} by head masked and slice of the pairs; largest sure change: "
        f"{Head.of_row(worst).name} on {shortened(str(worst['value']), COLUMN_LABEL)}, "
        f"{percent(float(worst['to_constant']))} of the way.",
        caption=f"Change of {measure.label} when a single head (layer.head, from 0) is masked, {sliced.way}, from "
        f"{sliced.pairs}: {every} with a sure change on some slice, the most affected first. Red cells are worse, "
        "blue ones better. A framed cell is sure: its interval excludes 0, and the intervals of all heads and slices "
        f"hold together with 95% ({changes['is_sure'].sum()} of {len(changes)} cells). {sliced.counts}",
    )
