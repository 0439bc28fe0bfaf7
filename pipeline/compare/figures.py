"""Figures of a comparison: heat maps of head effects in two runs or over several, and a scatter plot."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED
from pipeline.compare.diff import RunDiff
from pipeline.compare.stability import Stability
from pipeline.core.heads import Head
from pipeline.findings.wording import WORDINGS, Wording
from pipeline.report import canvas, heatmaps, label_placement
from pipeline.report.canvas import FigureText, RenderedFigure
from pipeline.report.colours import CHANGES, GREY, ORANGE, SCORES
from pipeline.report.text import shortened

COLUMN = 0.4  # inches of a head
GAP = heatmaps.BOTTOM + heatmaps.TOP  # inches between two rows of matrices
CHARACTERS = 10  # of a title an inch of its panel holds
AXIS = 0.3  # inches between a colour bar's label and the scatter plot
NAMED = 12  # heads named in the scatter plot


def diff_figure(comparison: RunDiff, before: str, after: str) -> RenderedFigure:
    """Heat maps of head effects in two runs and of their difference, and a scatter plot of heads.

    Args:
        before, after: the runs' names.
    """
    heads, words = comparison.heads, WORDINGS[comparison.measures.kind]
    old, new, difference = (100 * heatmaps.head_matrix(heads, column) for column in ("before", "after", "difference"))
    figure, (first, second, third) = board(old)
    effects = heatmaps.centred_norm(np.stack([old, new]), least=0.1)
    _draw_matrix(first, _titled(first, before), old, effects)
    _draw_matrix(second, _titled(second, after), new, effects, words.change_axis)
    differences = heatmaps.centred_norm(difference, least=0.1)
    _draw_matrix(third, _titled(third, "second minus first"), difference, differences, "percentage points")
    _, bottom, width, height = canvas.inches(third)
    _dots(canvas.panel(figure, canvas.inches(second)[0] + AXIS, bottom, width - AXIS, height), heads, words)
    return canvas.render_figure(figure, _diff_text(comparison, before, after))


def board(values: np.ndarray) -> tuple[Figure, list[Axes]]:
    """Figure with room for four matrices of this shape, two by two, and the axes of the first three.

    Each has room for a colour bar.
    """
    width, height = heatmaps.panel_size(values, column=COLUMN)
    width, height = max(width, 2.4), max(height, 2.2)  # room for the dots' axes and for titles
    across, up = heatmaps.LEFT + width + heatmaps.SCALE, height + GAP
    figure = canvas.blank_figure(2 * across, 2 * up)
    return figure, [
        canvas.panel(figure, heatmaps.LEFT + column * across, heatmaps.BOTTOM + row * up, width, height)
        for column, row in ((0, 1), (1, 1), (0, 0))
    ]


def _titled(axes: Axes, name: str) -> str:
    return shortened(name, int(canvas.inches(axes)[2] * CHARACTERS))


def _dots(axes: Axes, heads: pd.DataFrame, words: Wording) -> None:
    """Scatter plot of head effects in the two runs; heads that are needed or harmful in either are coloured."""
    both = heads.dropna(subset=["before", "after"])
    points = 100 * both[["before", "after"]].to_numpy(dtype=float)
    low, high = _ends(points)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=f"first run, {words.change_axis}", ylabel="second run (%)")
    axes.set_title("second run against first")
    axes.plot([low, high], [low, high], color=GREY, lw=0.8)
    matters = both[["verdict_before", "verdict_after"]].isin([NEEDED, HARMFUL]).any(axis=1).to_numpy()
    x, y = points.T
    axes.scatter(x[~matters], y[~matters], s=14, color=GREY, lw=0, alpha=0.7)
    axes.scatter(x[matters], y[matters], s=22, color=ORANGE, lw=0.5, ec="white")
    farthest = np.argsort(-np.abs(y - x), kind="stable")
    named = {int(index): Head.of_row(both.iloc[index]).short for index in farthest[matters[farthest]][:NAMED]}
    label_placement.draw_labels(axes, points, named)


def _ends(points: np.ndarray) -> tuple[float, float]:
    """Both axes' ends, a tenth beyond the outermost effects."""
    low, high = (float(points.min()), float(points.max())) if len(points) else (0.0, 0.0)
    beyond = max(0.1 * (high - low), 0.1)
    return low - beyond, high + beyond


def _diff_text(comparison: RunDiff, before: str, after: str) -> FigureText:
    measure = comparison.measures.headline.label
    moved = comparison.heads[comparison.heads["difference"].abs() > 0]
    ordered = moved.sort_values("difference", key=lambda column: -column.abs(), kind="stable")
    most = f"{Head.of_row(ordered.iloc[0]).name} differs most" if len(ordered) else "none differs"
    return FigureText(
        name="comparison_heads",
        title="Single heads masked, in both runs",
        alt=f"Heat maps of the heads' effects in {before}, in {after}, and of their difference, and a scatter plot: "
        f"{len(moved)} of {len(comparison.heads)} heads differ; {most}.",
        caption=f"Change of {measure} when a single head is masked, in percent of each run's unmasked {measure}, on "
        "the same scale, and the difference in percentage points. Red is a loss, or a larger loss; a dash is a head "
        "that a run lacks. In the scatter plot, heads on the grey line have the same effect in both runs; orange ones "
        "are needed or harmful in at least one, and those that differ most are named layer.head. Layers and heads "
        "count from 0.",
    )


def stability_figure(stability: Stability) -> RenderedFigure:
    """Mean and deviation of every head's effect over the runs, and in how many of them it is needed."""
    heads, runs = stability.heads, stability.runs
    mean, deviation = (100 * heatmaps.head_matrix(heads, column) for column in ("mean", "deviation"))
    needed = heatmaps.head_matrix(heads, "needed")
    figure, (first, second, third) = board(mean)
    effects = heatmaps.centred_norm(mean, least=0.1)
    _draw_matrix(first, f"mean of {runs} runs", mean, effects, WORDINGS[stability.measures.kind].change_axis)
    spread = heatmaps.from_zero_norm(deviation, least=0.1)
    _draw_matrix(second, "standard deviation", deviation, spread, "percentage points", SCORES, "{:.1f}".format)
    often = heatmaps.from_zero_norm(needed, least=runs)
    _draw_matrix(third, f"needed in how many of {runs} runs", needed, often, "runs", SCORES, "{:.0f}".format)
    return canvas.render_figure(figure, _stability_text(stability))


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
    measure = stability.measures.headline.label
    return FigureText(
        name="stability_heads",
        title="Single heads masked, over the runs",
        alt=f"Heat maps of the heads' mean effect over {stability.runs} runs, of its standard deviation, and of the "
        f"number of runs that need the head: {len(stability.always_needed)} of {len(stability.heads)} in every run.",
        caption=f"Change of {measure} when a single head is masked, in percent of each run's unmasked {measure}: its "
        f"mean over {stability.runs} runs (red is a loss), its standard deviation in percentage points, and in how "
        "many of them the head is needed. Layers and heads count from 0.",
    )
