"""Which kinds of pair need which heads: groups of heads masked, judged on each slice of the pairs."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.findings.verdict import percent
from pipeline.report import heatmaps
from pipeline.report.canvas import CHANGES, INK, FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.text import shortened, width

COLUMN = 0.5  # inches of a slice
COUNTS = 0.2  # inches of the line of pair counts
LETTER = 0.068  # inches a column of a label
ROW_LABEL, COLUMN_LABEL = 28, 34  # columns of a label


def subgroup_chart(changes: pd.DataFrame, slicing: str, where: str, number: int = 1) -> RenderedFigure:
    """Relative accuracy change of each group of heads (row) on each slice (column), in percent.

    Args:
        changes: one row a group and slice: group, slice, pairs (of the slice), change, low, high (fractions; the
            change's interval); both axes keep the frame's order.
        slicing: what the pairs are sliced by.
        where: the pairs that are sliced, such as "448 pairs of the test split".
        number: of the figure among those of other slicings, for its file's name.
    """
    return render_figure(subgroup_heatmap(changes), _words(changes, slicing, where, number))


def subgroup_heatmap(changes: pd.DataFrame) -> Figure:
    """The figure of `subgroup_chart`."""
    table = 100 * _matrix(changes, "change")
    values = table.to_numpy()
    rows = [shortened(str(group), ROW_LABEL) for group in table.index]
    columns = [shortened(str(name), COLUMN_LABEL) for name in table.columns]
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
    _write_counts(axes, changes.groupby("slice", sort=False)["pairs"].first(), up)
    heatmaps.frame_cells(axes, _certain(changes), values, norm, CHANGES)
    heatmaps.colour_bar(axes, norm, CHANGES, "relative accuracy change (%)")
    return figure


def _matrix(changes: pd.DataFrame, value: str) -> pd.DataFrame:
    """The column as a table of groups by slices, NaN where a pair of them has no row."""
    table = changes.pivot(index="group", columns="slice", values=value).astype(float)
    return table.reindex(index=changes["group"].unique(), columns=changes["slice"].unique())


def _certain(changes: pd.DataFrame) -> np.ndarray:
    """Where the interval leaves out 0, bool [group, slice]; nowhere without one."""
    return ((_matrix(changes, "low") > 0) | (_matrix(changes, "high") < 0)).to_numpy()


def _write_counts(axes: Axes, pairs: pd.Series, height: float) -> None:
    """How many pairs each slice has, between its label and its cells."""
    middle = 1 + (heatmaps.PAD + COUNTS / 2) / height
    font: dict[str, Any] = {"fontsize": 7, "va": "center", "color": INK}
    for column, count in enumerate(pairs):
        axes.text(column, middle, str(count), transform=axes.get_xaxis_transform(), ha="center", **font)
    axes.text(-0.5 - heatmaps.PAD / COLUMN, middle, "pairs", transform=axes.get_xaxis_transform(), ha="right", **font)


def _words(changes: pd.DataFrame, slicing: str, where: str, number: int) -> FigureText:
    certain = int(_certain(changes).sum())
    defined = changes.dropna(subset=["change"])
    worst = "no change is defined"
    if len(defined):
        row = defined.sort_values("change", kind="stable").iloc[0]
        group, name = shortened(str(row["group"]), ROW_LABEL), shortened(str(row["slice"]), COLUMN_LABEL)
        worst = f"worst off without {group} is {name}: {percent(float(row['change']))}"
    return FigureText(
        name=f"slices_{number}",
        title=f"Which pairs need which heads, by {slicing}",
        alt=f"Table of the accuracy change by group of heads masked and slice of the pairs; {worst}.",
        caption="Change of accuracy when the named heads are masked, on each slice by itself and in percent of the "
        f"unmasked accuracy there, from {where}. Red cells lost accuracy, blue cells gained. A framed cell's interval "
        f"leaves out 0 ({certain} of {len(defined)} cells); without a frame the change may be chance. The number over "
        "a column is how many pairs the slice has: few make wide intervals.",
    )
