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
from pipeline.report import canvas, heatmaps
from pipeline.report.canvas import FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.text import shortened, width
from pipeline.stats.measures import Measure

COLUMN = 0.5  # inches of a slice
COUNTS = 0.2  # inches of the line of pair counts
LETTER = 0.068  # inches a column of a label
ROW_LABEL, COLUMN_LABEL = 28, 34  # columns of a label
MOST_HEADS = 25  # heads drawn of those with a sure change


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
        return f"The number over a column is the slice's number of pairs.{self.words.slices}"


@dataclass(frozen=True)
class Matrix:
    """A matrix of changes: a row per masked group or head, a column per slice.

    Attributes:
        percent: the changes, NaN where there is none; index and columns name rows and slices, in the order drawn.
        is_sure: whether the interval leaves out 0, bool [row, slice].
        colours: scale on which red is worse.
        label: of the scale.
    """

    percent: pd.DataFrame
    is_sure: np.ndarray
    colours: str
    label: str

    @classmethod
    def of(cls, changes: pd.DataFrame, rows: str, column: str, colours: str, label: str) -> "Matrix":
        """Matrix of a column of fractions; `rows`: the column that names the rows. `is_sure` as the frame's."""

        def pivot(values: str) -> pd.DataFrame:
            table = changes.pivot(index=rows, columns="value", values=values)
            return table.reindex(index=changes[rows].unique(), columns=changes["value"].unique())

        return cls(100 * pivot(column).astype(float), pivot("is_sure").eq(True).to_numpy(dtype=bool), colours, label)


def subgroup_chart(
    changes: pd.DataFrame, slicing: str, sliced: Sliced, beside: Sequence[Measure] = (), number: int = 1
) -> RenderedFigure:
    """Heat maps of the changes of groups of heads (row) on slices (column): of the headline measure and those beside.

    Args:
        changes: rows of slices.csv of one slicing; rows and columns keep its order.
        slicing: what the pairs are sliced by.
        sliced: the pairs.
        number: of the figure among those of other slicings, for its file's name.
    """
    figure = slices_heatmap(group_matrices(changes, sliced.words, beside), pair_counts(changes))
    return render_figure(figure, _subgroup_text(changes, slicing, sliced, beside, number))


def group_matrices(changes: pd.DataFrame, words: Wording, beside: Sequence[Measure]) -> list[Matrix]:
    """Matrix of the relative headline changes of groups, and of the share of the way of each measure beside."""
    headline = (words.measures.headline, "change", canvas.CHANGES, words.change_axis)
    sure = changes.assign(is_sure=_excludes_zero(changes))
    shares = [(measure, "to_constant", canvas.SHARES_OF_WAY, f"{measure.label}, % of the way") for measure in beside]
    return [
        Matrix.of(sure[sure["measure"] == measure.name], "group", column, colours, label)
        for measure, column, colours, label in [headline, *shares]
    ]


def _excludes_zero(changes: pd.DataFrame) -> pd.Series:
    """Whether the interval excludes 0; False where undefined."""
    return (changes["change_low"] > 0) | (changes["change_high"] < 0)


def pair_counts(changes: pd.DataFrame) -> pd.Series:
    """Number of pairs of each slice, in the frame's order."""
    return changes.groupby("value", sort=False)["pairs"].first()


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


def head_slice_chart(
    changes: pd.DataFrame, slicing: str, measure: Measure, sliced: Sliced, number: int = 1
) -> RenderedFigure | None:
    """Heat map of the changes of single heads (row) on slices (column); None where no change is sure.

    Args:
        changes: rows of head_slices.csv of one slicing.
        measure: what changes. slicing, sliced, number: as of `subgroup_chart`.
    """
    affected = most_affected(changes)
    heads = affected["name"].unique()
    if not len(heads):
        return None
    shown = affected[affected["name"].isin(heads[:MOST_HEADS])]
    figure = slices_heatmap([head_matrix(shown, measure)], pair_counts(shown))
    return render_figure(figure, _head_slice_text(changes, shown, len(heads), slicing, measure, sliced, number))


def head_matrix(shown: pd.DataFrame, measure: Measure) -> Matrix:
    """Matrix of the heads' shares of the way, from rows of `most_affected`."""
    return Matrix.of(shown, "name", "to_constant", canvas.SHARES_OF_WAY, f"{measure.label}, % of the way")


def slices_heatmap(matrices: Sequence[Matrix], counts: pd.Series) -> Figure:
    """Heat maps below each other that share their slices; a scale ends at the largest sure change.

    Args:
        counts: pairs of each slice, in the matrices' order.
    """
    rows = [_short(matrix.percent.index, ROW_LABEL) for matrix in matrices]
    columns = _short(counts.index, COLUMN_LABEL)
    left = 0.2 + LETTER * max(map(width, ["pairs", *(label for labels in rows for label in labels)]))
    slant = LETTER * max(map(width, columns)) * math.cos(math.radians(heatmaps.SLANT)) + 0.1
    sizes = [heatmaps.panel_size(matrix.percent.to_numpy(), COLUMN) for matrix in matrices]
    across, gap = sizes[0][0], heatmaps.TOP
    total = sum(up for _, up in sizes) + gap * (len(sizes) - 1)
    figure = blank_figure(left + across + max(heatmaps.SCALE, slant), total + COUNTS + slant + 0.2)
    bottom = 0.1 + total
    for number, (matrix, labels, (_, up)) in enumerate(zip(matrices, rows, sizes, strict=True)):
        bottom -= up
        axes = panel(figure, left, bottom, across, up)
        _draw_matrix(axes, matrix, labels)
        if number == 0:
            heatmaps.head_columns(axes, columns, above=COUNTS + 0.08)
            _write_counts(axes, counts, up)
        bottom -= gap
    return figure


def _draw_matrix(axes: Axes, matrix: Matrix, rows: Sequence[str]) -> None:
    values = matrix.percent.to_numpy()
    norm = heatmaps.centred_norm(values[matrix.is_sure] if matrix.is_sure.any() else values, least=0.1)
    heatmaps.fill_cells(axes, values, norm, matrix.colours)
    heatmaps.annotate_cells(axes, values, norm, matrix.colours, heatmaps.signed)
    heatmaps.label_rows(axes, rows)
    heatmaps.frame_cells(axes, matrix.is_sure, values, norm, matrix.colours)
    heatmaps.colour_bar(axes, norm, matrix.colours, matrix.label)


def _short(names: Iterable[object], columns: int) -> list[str]:
    return [shortened(str(name), columns) for name in names]


def _write_counts(axes: Axes, pairs: pd.Series, height: float) -> None:
    """Write each slice's number of pairs between its label and its cells."""
    middle, transform = 1 + (heatmaps.PAD + COUNTS / 2) / height, axes.get_xaxis_transform()
    labels = [(column, str(count), "center") for column, count in enumerate(pairs)]
    for column, label, align in [*labels, (-0.5 - heatmaps.PAD / COLUMN, "pairs", "right")]:
        axes.text(column, middle, label, transform=transform, ha=align, va="center", fontsize=7, color=canvas.INK)


def _subgroup_text(
    changes: pd.DataFrame, slicing: str, sliced: Sliced, beside: Sequence[Measure], number: int
) -> FigureText:
    headline = sliced.words.measures.headline
    defined = (
        changes[changes["measure"] == headline.name].dropna(subset=["change"]).sort_values("change", kind="stable")
    )
    worst = "no change is defined"
    if len(defined):
        row = defined.iloc[0]
        group, name = shortened(str(row["group"]), ROW_LABEL), shortened(str(row["value"]), COLUMN_LABEL)
        worst = f"largest loss: {group} masked on {name}, {percent(float(row['change']))}"
    below = "".join(f" Below, the change of {measure.label}, {sliced.way}." for measure in beside)
    return FigureText(
        name=f"subgroups_{number}",
        title=f"Groups of heads by {slicing}",
        alt=f"Table of the {headline.label} change by group of heads masked and slice of the pairs; {worst}.",
        caption=f"Change of {headline.label} when the named heads are masked, in percent of the unmasked "
        f"{headline.label} on the same slice, from {sliced.pairs}.{below} Red cells are worse, blue ones better. A "
        f"framed cell's interval excludes 0 ({_excludes_zero(defined).sum()} of {len(defined)} cells of "
        f"{headline.label}); other changes are not significant. {sliced.counts}",
    )


def _head_slice_text(
    changes: pd.DataFrame, shown: pd.DataFrame, heads: int, slicing: str, measure: Measure, sliced: Sliced, number: int
) -> FigureText:
    sure = shown[shown["is_sure"]]
    drawn, worst = shown["name"].nunique(), sure.iloc[int(sure["to_constant"].abs().to_numpy().argmax())]
    every = f"the {drawn} most affected of {heads} heads" if drawn < heads else f"the {heads} heads"
    return FigureText(
        name=f"head_slices_{number}",
        title=f"Single heads by {slicing}",
        alt=f"Table of the change of {measure.label} by head masked and slice of the pairs; largest sure change: "
        f"{Head.of_row(worst).name} on {shortened(str(worst['value']), COLUMN_LABEL)}, "
        f"{percent(float(worst['to_constant']))} of the way.",
        caption=f"Change of {measure.label} when a single head (layer.head, from 0) is masked, {sliced.way}, from "
        f"{sliced.pairs}: {every} with a sure change on some slice, the most affected first. Red cells are worse, "
        "blue ones better. A framed cell is sure: its interval excludes 0, and the intervals of all heads and slices "
        f"hold together with 95% ({changes['is_sure'].sum()} of {len(changes)} cells). {sliced.counts}",
    )
