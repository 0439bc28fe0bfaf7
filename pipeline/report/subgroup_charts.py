"""Heat maps of subgroup effects: groups of heads masked, and the accuracy change on each slice of the pairs."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.findings import select
from pipeline.findings.verdict import percent
from pipeline.report import canvas, heatmaps
from pipeline.report.canvas import CHANGES, INK, FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.text import shortened, width

COLUMN = 0.5  # inches of a slice
COUNTS = 0.2  # inches of the line of pair counts
LETTER = 0.068  # inches a column of a label
ROW_LABEL, COLUMN_LABEL = 28, 34  # columns of a label


def subgroup_chart(changes: pd.DataFrame, slicing: str, pairs: str, number: int = 1) -> RenderedFigure:
    """Heat map of the relative accuracy change of each group of heads (row) on each slice (column), in percent.

    Args:
        changes: one row a group and slice: group, value (of the slicing), pairs (of the slice), the relative accuracy
            change and its interval (fractions); both axes keep the frame's order.
        slicing: what the pairs are sliced by.
        pairs: the pairs that are sliced, such as "448 pairs of the test split".
        number: of the figure among those of other slicings, for its file's name.
    """
    return render_figure(subgroup_heatmap(changes), _subgroup_text(changes, slicing, pairs, number))


def subgroup_heatmap(changes: pd.DataFrame) -> Figure:
    """Heat map of `subgroup_chart`."""
    table = 100 * _matrix(changes, select.CHANGE)
    values = table.to_numpy()
    rows, columns = _short(table.index, ROW_LABEL), _short(table.columns, COLUMN_LABEL)
    left = 0.2 + LETTER * max(map(width, [*rows, "pairs"]))
    slant = LETTER * max(map(width, columns)) * math.cos(math.radians(heatmaps.SLANT)) + 0.1
    across, up = heatmaps.panel_size(values, COLUMN)
    figure = blank_figure(left + across + max(heatmaps.SCALE, slant), up + COUNTS + slant + 0.2)
    axes = panel(figure, left, 0.1, across, up)
    norm = heatmaps.centred_norm(values, least=0.1)
    heatmaps.fill_cells(axes, values, norm, CHANGES)
    heatmaps.annotate_cells(axes, values, norm, CHANGES, heatmaps.signed)
    heatmaps.label_rows(axes, rows)
    heatmaps.head_columns(axes, columns, above=COUNTS + 0.08)
    _write_counts(axes, changes.groupby("value", sort=False)["pairs"].first(), up)
    heatmaps.frame_cells(axes, _significant(changes), values, norm, CHANGES)
    heatmaps.colour_bar(axes, norm, CHANGES, canvas.CHANGE_AXIS)
    return figure


def _matrix(changes: pd.DataFrame, column: str) -> pd.DataFrame:
    """The column as a table of groups by slices, NaN where a group and slice have no row."""
    table = changes.pivot(index="group", columns="value", values=column).astype(float)
    return table.reindex(index=changes["group"].unique(), columns=changes["value"].unique())


def _short(names: Iterable[object], columns: int) -> list[str]:
    return [shortened(str(name), columns) for name in names]


def _significant(changes: pd.DataFrame) -> np.ndarray:
    """Whether the interval excludes 0, bool [group, slice]; False where undefined."""
    return ((_matrix(changes, f"{select.CHANGE}_low") > 0) | (_matrix(changes, f"{select.CHANGE}_high") < 0)).to_numpy()


def _write_counts(axes: Axes, pairs: pd.Series, height: float) -> None:
    """Write each slice's number of pairs between its label and its cells."""
    middle, transform = 1 + (heatmaps.PAD + COUNTS / 2) / height, axes.get_xaxis_transform()
    labels = [(column, str(count), "center") for column, count in enumerate(pairs)]
    for column, label, align in [*labels, (-0.5 - heatmaps.PAD / COLUMN, "pairs", "right")]:
        axes.text(column, middle, label, transform=transform, ha=align, va="center", fontsize=7, color=INK)


def _subgroup_text(changes: pd.DataFrame, slicing: str, pairs: str, number: int) -> FigureText:
    significant = int(_significant(changes).sum())
    defined = changes.dropna(subset=[select.CHANGE]).sort_values(select.CHANGE, kind="stable")
    worst = "no change is defined"
    if len(defined):
        row = defined.iloc[0]
        group, name = shortened(str(row["group"]), ROW_LABEL), shortened(str(row["value"]), COLUMN_LABEL)
        worst = f"largest loss: {group} masked on {name}, {percent(float(row[select.CHANGE]))}"
    return FigureText(
        name=f"subgroups_{number}",
        title=f"Accuracy change by {slicing}",
        alt=f"Table of the accuracy change by group of heads masked and slice of the pairs; {worst}.",
        caption="Change of accuracy when the named heads are masked, in percent of the unmasked accuracy on the same "
        f"slice, from {pairs}. Red cells are losses, blue cells gains. A framed cell's interval excludes 0 "
        f"({significant} of {len(defined)} cells); other changes are not significant. The number over a column is the "
        "slice's number of pairs.",
    )
