"""Map of heads: a scatter plot of their multidimensional scaling, where close dots are heads with similar attention."""

from collections.abc import Set

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.core.heads import Head
from pipeline.report import canvas, label_placement
from pipeline.report.canvas import FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.colours import GREY, NO_FUNCTION, function_colour
from pipeline.report.text import shortened

LEFT, BOTTOM, WIDTH, TOP = 0.75, 0.5, 6.2, 0.15  # inches
HEIGHTS = (2.8, 5.6)  # inches that the panel may be high
LEGEND = 2.1  # inches
MARGIN = 0.25  # inches without dots along the panel's sides


def head_map(embedding: pd.DataFrame, needed: Set[Head], pairs: str) -> RenderedFigure:
    """Scatter plot of the embedding of heads, coloured by function.

    Args:
        embedding: as `pipeline.tables.attention.HEAD_EMBEDDING`.
        needed: heads that get a ring.
        pairs: the pairs that heads were compared on, such as "300 pairs of the dev split".
    """
    return render_figure(head_map_chart(embedding, needed), _map_text(embedding, needed, pairs))


def head_map_chart(embedding: pd.DataFrame, needed: Set[Head] = frozenset()) -> Figure:
    """Scatter plot of the embedding, with equal units on both axes."""
    height, low, high = _limits(embedding[["mds_1", "mds_2"]].to_numpy(dtype=float))
    figure = blank_figure(LEFT + WIDTH + LEGEND, BOTTOM + height + TOP)
    axes = panel(figure, LEFT, BOTTOM, WIDTH, height)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    is_needed = np.array([Head.of_row(row) in needed for _, row in embedding.iterrows()])
    _draw_heads(axes, embedding)
    if is_needed.any():
        canvas.ring_needed(axes, embedding.loc[is_needed, ["mds_1", "mds_2"]].to_numpy(dtype=float))
    _draw_names(axes, embedding, is_needed)
    for axis, ordinal, share in zip("xy", ("first", "second"), _explained(embedding), strict=True):
        axes.set(**{f"{axis}label": f"{ordinal} axis, in Jensen-Shannon distance ({_variance(share)})"})
    canvas.outer_legend(axes)
    return figure


def _limits(points: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Height in inches, within HEIGHTS, and lower and upper limits [2] of a panel to scale around points [head, 2]."""
    low, high = points.min(axis=0), points.max(axis=0)
    across, up = high - low
    height = float(np.clip(up / across * (WIDTH - 2 * MARGIN) + 2 * MARGIN, *HEIGHTS)) if across else HEIGHTS[0]
    room = np.array([WIDTH, height])
    unit = float(((high - low) / (room - 2 * MARGIN)).max()) or 1.0
    corner = (low + high) / 2 - unit * room / 2
    return height, corner, corner + unit * room


def _draw_heads(axes: Axes, embedding: pd.DataFrame) -> None:
    """Draw the heads, those without a function below the others."""
    none = embedding[embedding["function"].isna()]
    label = f"no function ({len(none)})"
    axes.scatter(none["mds_1"], none["mds_2"], s=26, color=NO_FUNCTION, lw=0.5, ec=GREY, label=label)
    for function, count in _counts(embedding).items():
        rows, name = embedding[embedding["function"] == function], f"{shortened(function, 20)} ({count})"
        axes.scatter(
            rows["mds_1"], rows["mds_2"], s=40, lw=0.5, ec="white", label=name, color=function_colour(function)
        )


def _draw_names(axes: Axes, embedding: pd.DataFrame, is_needed: np.ndarray) -> None:
    """Write layer.head next to the heads with a function and those that are needed, bool [head]."""
    labelled = np.flatnonzero(embedding["function"].notna() | is_needed)
    names = {int(index): Head.of_row(embedding.iloc[index]).short for index in labelled}
    label_placement.draw_labels(axes, embedding[["mds_1", "mds_2"]].to_numpy(dtype=float), names)


def _counts(embedding: pd.DataFrame) -> dict[str, int]:
    """Function -> its heads, most first, then by name."""
    counts = embedding["function"].dropna().value_counts().to_dict()
    return {str(name): count for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


def _explained(embedding: pd.DataFrame) -> tuple[float, float]:
    """Share of the variance on each axis, 0 to 1."""
    return float(embedding["explained_1"].iloc[0]), float(embedding["explained_2"].iloc[0])


def _variance(share: float) -> str:
    return f"{share:.0%} of the variance" if np.isfinite(share) else "no variance"


def _map_text(embedding: pd.DataFrame, needed: Set[Head], pairs: str) -> FigureText:
    counts = ", ".join(f"{function} {count}" for function, count in _counts(embedding).items())
    both = _variance(sum(_explained(embedding)))
    return FigureText(
        name="head_map",
        title="Similarity of heads (multidimensional scaling)",
        alt=f"Map of {len(embedding)} heads on two axes that explain {both}; heads by function: {counts or 'none'}; "
        f"needed: {', '.join(head.short for head in sorted(needed)) or 'none'}.",
        caption="Each dot is a head; those with a function are named layer.head, both from 0, where there is room. "
        "The nearer two dots, the more alike the heads attend: their Jensen-Shannon distance (0 the same attention, 1 "
        f"not one token in common), averaged over tokens and {pairs}, shown in two dimensions by classical "
        f"multidimensional scaling, which explain {both}. A colour is a head's first function, the same in "
        "every figure; a ring, a needed head.",
    )
