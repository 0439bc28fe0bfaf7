"""The map of heads: dots near each other are heads that attend alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report import label_placement
from pipeline.report.canvas import GREY, KINDS, FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.text import shortened

LEFT, BOTTOM, WIDTH, TOP = 0.75, 0.5, 6.2, 0.15  # inches
HEIGHTS = (2.8, 5.6)  # inches that the panel may be high
LEGEND = 2.1  # inches
MARGIN = 0.25  # inches kept free of dots along the panel's sides
MARKERS = "osD^v"  # after as many labels as there are colours, the next marker


def head_map(places: pd.DataFrame, shares: Sequence[float], where: str) -> RenderedFigure:
    """Heads on a plane, coloured by function.

    Args:
        places: one row a head: layer, head, x, y (as of `analysis.scaling.plane`), label (its first function, or none).
        shares: of the variance that the two axes hold, 0 to 1.
        where: the pairs that heads were compared on, such as "300 pairs of the dev split".
    """
    return render_figure(head_map_chart(places, shares), _words(places, shares, where))


def head_map_chart(places: pd.DataFrame, shares: Sequence[float]) -> Figure:
    """The figure of `head_map`, a unit as long across as up."""
    frame = _frame(places[["x", "y"]].to_numpy(dtype=float))
    figure = blank_figure(LEFT + WIDTH + LEGEND, BOTTOM + frame.height + TOP)
    axes = panel(figure, LEFT, BOTTOM, WIDTH, frame.height)
    (left, bottom), (right, top) = frame.values(np.array([[0, 0], [WIDTH, frame.height]]))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    _dots(axes, places)
    _names(axes, places, frame)
    for name, which, share in (("x", "first", shares[0]), ("y", "second", shares[1])):
        axes.set(**{f"{name}label": f"{which} axis, in Jensen-Shannon distance ({_share(share)})"})
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, handletextpad=0.3)
    return figure


@dataclass(frozen=True)
class _Frame:
    """The panel: its height in inches, its lower left corner in the points' unit, and so many of those an inch."""

    height: float
    corner: np.ndarray
    unit: float

    def inches(self, values: np.ndarray) -> np.ndarray:
        return (values - self.corner) / self.unit

    def values(self, inches: np.ndarray) -> np.ndarray:
        return self.corner + self.unit * inches


def _frame(points: np.ndarray) -> _Frame:
    """As high as the points [head, 2] need to be drawn to scale, within HEIGHTS, and centred on them."""
    low, high = points.min(axis=0), points.max(axis=0)
    across, up = high - low
    height = float(np.clip(up / across * (WIDTH - 2 * MARGIN) + 2 * MARGIN, *HEIGHTS)) if across else HEIGHTS[0]
    room = np.array([WIDTH, height])
    unit = float(((high - low) / (room - 2 * MARGIN)).max()) or 1.0
    return _Frame(height, (low + high) / 2 - unit * room / 2, unit)


def _dots(axes: Axes, places: pd.DataFrame) -> None:
    """Heads without a function first, so that they lie below."""
    none = places[places["label"].isna()]
    axes.scatter(none["x"], none["y"], s=22, color=GREY, lw=0, label=f"no function ({len(none)})", alpha=0.7)
    for index, (label, count) in enumerate(_counts(places).items()):
        rows = places[places["label"] == label]
        later, colour = divmod(index, len(KINDS))
        look: dict[str, Any] = {"marker": MARKERS[later % len(MARKERS)], "color": KINDS[colour]}
        axes.scatter(rows["x"], rows["y"], s=34, lw=0.5, ec="white", label=f"{shortened(label, 20)} ({count})", **look)


def _names(axes: Axes, places: pd.DataFrame, frame: _Frame) -> None:
    """layer.head of the heads with a function."""
    dots = frame.inches(places[["x", "y"]].to_numpy(dtype=float))
    named = {
        index: f"{row.layer}.{row.head}" for index, row in enumerate(places.itertuples()) if isinstance(row.label, str)
    }
    for index, label in label_placement.place_labels(dots, named, WIDTH, frame.height).items():
        if len(label.line):
            axes.plot(*frame.values(label.line).T, color=GREY, lw=0.6)
        x, y = frame.values(label.centre)
        axes.text(x, y, named[index], fontsize=label_placement.SIZE, ha="center", va="center_baseline")


def _counts(places: pd.DataFrame) -> dict[str, int]:
    """Label -> its heads, most first, then by name."""
    counts = places["label"].dropna().value_counts()
    return {str(label): int(counts[label]) for label in sorted(counts.index, key=lambda label: (-counts[label], label))}


def _share(share: float) -> str:
    return f"{share:.0%} of the variance" if np.isfinite(share) else "no variance"


def _words(places: pd.DataFrame, shares: Sequence[float], where: str) -> FigureText:
    counts = ", ".join(f"{label} {count}" for label, count in _counts(places).items())
    both = _share(float(np.sum(shares)))
    return FigureText(
        name="head_map",
        title="Heads that attend alike lie together",
        alt=f"Map of {len(places)} heads on two axes that hold {both}; heads by function: {counts or 'none'}.",
        caption="Each dot is a head; those with a function are named layer.head, both from 0, where there is room. "
        "The nearer two dots, the more alike the heads attend: their Jensen-Shannon distance (0 the same attention, 1 "
        f"not one token in common), averaged over tokens and {where}, drawn on the plane that keeps it best "
        f"(classical multidimensional scaling; the two axes hold {both}). A colour is a head's first function.",
    )
