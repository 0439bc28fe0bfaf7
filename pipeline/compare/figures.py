"""Heads of two runs beside each other: their effects, the difference, and a dot a head."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipeline.analysis.ablation_effects import NOTHING
from pipeline.compare.diff import RunDiff
from pipeline.compare.stability import Stability
from pipeline.core.heads import Head
from pipeline.report import heatmaps, label_placement
from pipeline.report.canvas import (
    CHANGES,
    GREY,
    ORANGE,
    SCORES,
    FigureText,
    RenderedFigure,
    blank_figure,
    inches,
    panel,
    render_figure,
)
from pipeline.report.text import shortened

COLUMN = 0.4  # inches of a head
GAP = heatmaps.BOTTOM + heatmaps.TOP  # inches between two rows of matrices
CHARACTERS = 10  # of a title an inch of its panel holds
AXIS = 0.3  # inches that the dots' axis needs beside a colour bar's label
NAMED = 12  # heads that are named beside their dots
EFFECT_TITLE = "relative accuracy change (%)"


def diff_figure(comparison: RunDiff, before: str, after: str) -> RenderedFigure:
    """Every head's effect in both runs on one scale, their difference on its own, and each head as a dot.

    Args:
        before, after: the runs' names.
    """
    heads = comparison.heads
    old, new, difference = (100 * heatmaps.head_matrix(heads, column) for column in ("before", "after", "difference"))
    figure, (first, second, third) = board(old)
    effects = heatmaps.centred_norm(np.stack([old, new]), least=0.1)
    _draw_matrix(first, _titled(first, before), old, effects)
    _draw_matrix(second, _titled(second, after), new, effects, EFFECT_TITLE)
    differences = heatmaps.centred_norm(difference, least=0.1)
    _draw_matrix(third, _titled(third, "second minus first"), difference, differences, "percentage points")
    _, bottom, width, height = inches(third)
    _dots(panel(figure, inches(second)[0] + AXIS, bottom, width - AXIS, height), heads)
    return render_figure(figure, _diff_text(comparison, before, after))


def board(values: np.ndarray) -> tuple[Figure, list[Axes]]:
    """A figure with room for four matrices of this shape, two in a row, and the axes of the first three.

    Each has room for a colour bar.
    """
    width, height = heatmaps.panel_size(values, column=COLUMN)
    width, height = max(width, 2.4), max(height, 2.2)  # room for the dots' axes and for titles
    across, up = heatmaps.LEFT + width + heatmaps.SCALE, height + GAP
    figure = blank_figure(2 * across, 2 * up)
    return figure, [
        panel(figure, heatmaps.LEFT + column * across, heatmaps.BOTTOM + row * up, width, height)
        for column, row in ((0, 1), (1, 1), (0, 0))
    ]


def _titled(axes: Axes, name: str) -> str:
    return shortened(name, int(inches(axes)[2] * CHARACTERS))


def _dots(axes: Axes, heads: pd.DataFrame) -> None:
    """One dot a head, its effect in the second run over that in the first; heads that matter in either coloured."""
    both = heads.dropna(subset=["before", "after"])
    points = 100 * both[["before", "after"]].to_numpy(dtype=float)
    low, high = _ends(points)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=f"first run, {EFFECT_TITLE}", ylabel="second run (%)")
    axes.set_title("one dot a head")
    axes.plot([low, high], [low, high], color=GREY, lw=0.8)
    matters = (both[["verdict_before", "verdict_after"]] != NOTHING).any(axis=1).to_numpy()
    x, y = points.T
    axes.scatter(x[~matters], y[~matters], s=14, color=GREY, lw=0, alpha=0.7)
    axes.scatter(x[matters], y[matters], s=22, color=ORANGE, lw=0.5, ec="white")
    farthest = np.argsort(-np.abs(y - x), kind="stable")
    named = {int(index): Head.of_row(both.iloc[index]).short for index in farthest[matters[farthest]][:NAMED]}
    _names(axes, points, named, low, high)


def _names(axes: Axes, points: np.ndarray, named: dict[int, str], low: float, high: float) -> None:
    """Names beside their dots [head, 2], where there is room; both axes go from low to high."""
    _, _, width, height = inches(axes)
    scale = np.array([width, height]) / (high - low)
    for index, label in label_placement.place_labels((points - low) * scale, named, width, height).items():
        if len(label.line):
            axes.plot(*(label.line / scale + low).T, color=GREY, lw=0.6)
        x, y = label.centre / scale + low
        axes.text(x, y, named[index], fontsize=label_placement.SIZE, ha="center", va="center_baseline")


def _ends(points: np.ndarray) -> tuple[float, float]:
    """Both axes' ends, a tenth beyond the outermost effects."""
    low, high = (float(points.min()), float(points.max())) if len(points) else (0.0, 0.0)
    beyond = max(0.1 * (high - low), 0.1)
    return low - beyond, high + beyond


def _diff_text(comparison: RunDiff, before: str, after: str) -> FigureText:
    moved = comparison.heads[comparison.heads["difference"].abs() > 0]
    ordered = moved.sort_values("difference", key=lambda column: -column.abs(), kind="stable")
    most = f"{Head.of_row(ordered.iloc[0]).name} moved most" if len(ordered) else "none differs"
    return FigureText(
        name="comparison_heads",
        title="Every head masked alone, in both runs",
        alt=f"Heat maps of the heads' effects in {before}, in {after}, and of their difference, and a dot a head: "
        f"{len(moved)} of {len(comparison.heads)} heads moved; {most}.",
        caption="Change of accuracy when one head is masked, in percent of each run's own unmasked accuracy; both runs "
        "on one scale, their difference in percentage points on a scale of its own. Red is lost, or more lost; a dash "
        "is a head that a run has not. In the plot of dots, heads on the grey line cost the same in both; orange ones "
        "have a detectable effect in at least one, and those that moved most are named layer.head. Layers and heads "
        "count from 0.",
    )


def stability_figure(stability: Stability) -> RenderedFigure:
    """Mean and deviation of every head's effect over the runs, and in how many of them it is needed."""
    heads, runs = stability.heads, stability.runs
    mean, deviation = (100 * heatmaps.head_matrix(heads, column) for column in ("mean", "deviation"))
    needed = heatmaps.head_matrix(heads, "needed")
    figure, (first, second, third) = board(mean)
    effects = heatmaps.centred_norm(mean, least=0.1)
    _draw_matrix(first, f"mean of {runs} runs", mean, effects, EFFECT_TITLE)
    spread = heatmaps.from_zero_norm(deviation, least=0.1)
    _draw_matrix(second, "standard deviation", deviation, spread, "percentage points", SCORES, "{:.1f}".format)
    often = heatmaps.from_zero_norm(needed, least=runs)
    _draw_matrix(third, f"needed in so many of {runs} runs", needed, often, "runs", SCORES, "{:.0f}".format)
    return render_figure(figure, _stability_text(stability))


def _draw_matrix(
    axes: Axes,
    title: str,
    values: np.ndarray,
    norm: Normalize,
    unit: str = "",
    colours: str = CHANGES,
    write: Callable[[float], str] = heatmaps.signed,
) -> None:
    """Values [layer, head] as a heat map, with a colour bar where a unit is given."""
    heatmaps.draw_heatmap(axes, values, norm, colours, write)
    axes.set_title(title)
    if unit:
        heatmaps.colour_bar(axes, norm, colours, unit)


def _stability_text(stability: Stability) -> FigureText:
    return FigureText(
        name="stability_heads",
        title="Every head masked alone, over the runs",
        alt=f"Heat maps of the heads' mean effect over {stability.runs} runs, of its standard deviation, and of the "
        f"number of runs that need the head: {len(stability.always_needed)} of {len(stability.heads)} in every run.",
        caption="Change of accuracy when one head is masked, in percent of each run's own unmasked accuracy: its mean "
        f"over {stability.runs} runs (red is lost), its standard deviation over them in percentage points, and in how "
        "many of them the head is needed (q below 0.05). Layers and heads count from 0.",
    )
