"""Rows of labelled bars and dots over one axis of changes in percent."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.analysis.verdicts import percent
from pipeline.reporting import style
from pipeline.reporting.picture import canvas, panel

ROW = 0.28  # inches
LEFT, WIDTH, RIGHT = 2.5, 5.0, 0.8  # inches of labels, bars, values


@dataclass(frozen=True)
class Row:
    """
    Attributes:
        label: what was masked.
        change: the bar's length as a fraction, or the median of `draws`; NaN where undefined.
        colour: the bar's.
        article: the article's figure, None where it gives none.
        draws: changes of random groups, drawn as dots in place of a bar; None for a bar.
        interval: lower and upper end, drawn as a line; None or NaN for none.
    """

    label: str
    change: float
    colour: str
    article: float | None = None
    draws: np.ndarray | None = None
    interval: tuple[float, float] | None = None


def described(rows: list[Row]) -> str:
    """The rows in words, for those who cannot see them."""
    return "; ".join(f"{row.label}: {percent(row.change)}" for row in rows)


def chart(rows: list[Row], axis: str) -> tuple[Figure, Axes]:
    """The rows from the top down, each with its value in a column at the right."""
    height = ROW * len(rows)
    figure = canvas(LEFT + WIDTH + RIGHT, height + 0.6)
    axes = panel(figure, LEFT, 0.5, WIDTH, height)
    for index, row in enumerate(rows):
        _draw(axes, row, index)
    axes.use_sticky_edges = False  # leave room beside the longest bar and the diamonds
    axes.axvline(0, color=style.INK, lw=0.8)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set(xlabel=axis, ylim=(len(rows) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    return figure, axes


def _draw(axes: Axes, row: Row, index: int) -> None:
    if row.draws is not None:
        axes.plot(100 * row.draws, [index] * len(row.draws), "o", color=row.colour, ms=4, alpha=0.7)
        axes.plot([100 * row.change], [index], "|", color=style.INK, ms=12)
    elif np.isfinite(row.change):
        axes.barh(index, 100 * row.change, height=0.65, color=row.colour)
    if row.interval is not None:
        axes.plot(100 * np.array(row.interval), [index, index], color=style.INK, lw=1)
    if row.article is not None:
        axes.plot([100 * row.article], [index], "D", mfc="white", mec=style.INK, ms=5, zorder=3)
    axes.text(1.02, index, percent(row.change), transform=axes.get_yaxis_transform(), va="center")
