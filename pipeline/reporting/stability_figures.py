"""Heads of several runs together: what masking each costs on average, how much that varies, how often it is needed."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from pipeline.analysis.stability import Stability
from pipeline.reporting import cells, grids, style
from pipeline.reporting.comparison_figures import CHANGE, board
from pipeline.reporting.picture import Picture, Words, picture


def several_runs(stability: Stability) -> Picture:
    """Mean and deviation of every head's effect over the runs, and in how many of them it is needed."""
    heads, runs = stability.heads, stability.runs
    mean, deviation = (100 * grids.matrix(heads, column) for column in ("mean", "deviation"))
    needed = grids.matrix(heads, "needed")
    figure, (first, second, third) = board(mean, count=3)
    first.set_title(f"mean of {runs} runs")
    _draw(first, mean, grids.centred(mean, least=0.1), style.CHANGES, cells.signed, CHANGE)
    second.set_title("standard deviation")
    _draw(second, deviation, grids.from_zero(deviation, least=0.1), style.SCORES, "{:.1f}".format, "percentage points")
    third.set_title(f"needed in so many of {runs} runs")
    _draw(third, needed, grids.from_zero(needed, least=runs), style.SCORES, "{:.0f}".format, "runs")
    return picture(figure, _words(stability))


def _draw(
    axes: Axes, values: np.ndarray, norm: Normalize, colours: str, write: Callable[[float], str], unit: str
) -> None:
    grids.draw(axes, values, norm, colours, write)
    cells.colour_bar(axes, norm, colours, unit)


def _words(stability: Stability) -> Words:
    return Words(
        name="stability_heads",
        title="Every head masked alone, over the runs",
        alt=f"Heat maps of the heads' mean effect over {stability.runs} runs, of its standard deviation, and of the "
        f"number of runs that need the head: {len(stability.always_needed)} of {len(stability.heads)} in every run.",
        caption="Change of accuracy when one head is masked, in percent of each run's own unmasked accuracy: its mean "
        f"over {stability.runs} runs (red is lost), its standard deviation over them in percentage points, and in how "
        "many of them the head is needed (q below 0.05). Layers and heads count from 0.",
    )
