"""Map of heads: a scatter plot of their multidimensional scaling, where near dots are heads that attend alike."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.core.heads import Head
from pipeline.report import canvas, label_placement
from pipeline.report.canvas import GREY, FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.text import shortened

LEFT, BOTTOM, WIDTH, TOP = 0.75, 0.5, 6.2, 0.15  # inches
HEIGHTS = (2.8, 5.6)  # inches that the panel may be high
LEGEND = 2.1  # inches
MARGIN = 0.25  # inches kept free of dots along the panel's sides


def head_map(embedding: pd.DataFrame, pairs: str) -> RenderedFigure:
    """Heads on a plane, coloured by function.

    Args:
        embedding: one row a head: layer, head, x, y, label (its first function, or missing), share_x and share_y (the
            variance that each axis explains, a fraction, the same in every row).
        pairs: the pairs that heads were compared on, such as "300 pairs of the dev split".
    """
    return render_figure(head_map_chart(embedding), _map_text(embedding, pairs))


def head_map_chart(embedding: pd.DataFrame) -> Figure:
    """The figure of `head_map`, a unit as long across as up."""
    scale = _scale(embedding[["x", "y"]].to_numpy(dtype=float))
    figure = blank_figure(LEFT + WIDTH + LEGEND, BOTTOM + scale.height + TOP)
    axes = panel(figure, LEFT, BOTTOM, WIDTH, scale.height)
    (left, bottom), (right, top) = scale.values(np.array([[0, 0], [WIDTH, scale.height]]))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    _draw_heads(axes, embedding)
    _draw_names(axes, embedding, scale)
    for axis, ordinal, share in zip("xy", ("first", "second"), _explained(embedding), strict=True):
        axes.set(**{f"{axis}label": f"{ordinal} axis, in Jensen-Shannon distance ({_variance(share)})"})
    canvas.outer_legend(axes)
    return figure


@dataclass(frozen=True)
class _Scale:
    """The panel's height in inches, its lower left corner in the points' unit, and units an inch."""

    height: float
    corner: np.ndarray
    unit: float

    def inches(self, values: np.ndarray) -> np.ndarray:
        return (values - self.corner) / self.unit

    def values(self, inches: np.ndarray) -> np.ndarray:
        return self.corner + self.unit * inches


def _scale(points: np.ndarray) -> _Scale:
    """As high as the points [head, 2] need to be drawn to scale, within HEIGHTS, and centred on them."""
    low, high = points.min(axis=0), points.max(axis=0)
    across, up = high - low
    height = float(np.clip(up / across * (WIDTH - 2 * MARGIN) + 2 * MARGIN, *HEIGHTS)) if across else HEIGHTS[0]
    room = np.array([WIDTH, height])
    unit = float(((high - low) / (room - 2 * MARGIN)).max()) or 1.0
    return _Scale(height, (low + high) / 2 - unit * room / 2, unit)


def _draw_heads(axes: Axes, embedding: pd.DataFrame) -> None:
    """Heads without a function first, so that they lie below."""
    none = embedding[embedding["label"].isna()]
    axes.scatter(none["x"], none["y"], s=22, color=GREY, lw=0, label=f"no function ({len(none)})", alpha=0.7)
    for index, (function, count) in enumerate(_counts(embedding).items()):
        rows, name = embedding[embedding["label"] == function], f"{shortened(function, 20)} ({count})"
        axes.scatter(rows["x"], rows["y"], s=34, lw=0.5, ec="white", label=name, **canvas.kind_style(index))


def _draw_names(axes: Axes, embedding: pd.DataFrame, scale: _Scale) -> None:
    """layer.head of the heads with a function."""
    dots = scale.inches(embedding[["x", "y"]].to_numpy(dtype=float))
    labelled = np.flatnonzero(embedding["label"].notna())
    names = {int(index): Head.of_row(embedding.iloc[index]).short for index in labelled}
    for index, label in label_placement.place_labels(dots, names, WIDTH, scale.height).items():
        if len(label.line):
            axes.plot(*scale.values(label.line).T, color=GREY, lw=0.6)
        x, y = scale.values(label.centre)
        axes.text(x, y, names[index], fontsize=label_placement.SIZE, ha="center", va="center_baseline")


def _counts(embedding: pd.DataFrame) -> dict[str, int]:
    """Function -> its heads, most first, then by name."""
    counts = embedding["label"].dropna().value_counts().to_dict()
    return {str(name): count for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


def _explained(embedding: pd.DataFrame) -> tuple[float, float]:
    """Share of the variance on each axis, 0 to 1."""
    return float(embedding["share_x"].iloc[0]), float(embedding["share_y"].iloc[0])


def _variance(share: float) -> str:
    return f"{share:.0%} of the variance" if np.isfinite(share) else "no variance"


def _map_text(embedding: pd.DataFrame, pairs: str) -> FigureText:
    counts = ", ".join(f"{function} {count}" for function, count in _counts(embedding).items())
    both = _variance(sum(_explained(embedding)))
    return FigureText(
        name="head_map",
        title="Heads that attend alike lie together",
        alt=f"Map of {len(embedding)} heads on two axes that hold {both}; heads by function: {counts or 'none'}.",
        caption="Each dot is a head; those with a function are named layer.head, both from 0, where there is room. "
        "The nearer two dots, the more alike the heads attend: their Jensen-Shannon distance (0 the same attention, 1 "
        f"not one token in common), averaged over tokens and {pairs}, drawn on the plane that keeps it best "
        f"(classical multidimensional scaling; the two axes hold {both}). A colour is a head's first function.",
    )
