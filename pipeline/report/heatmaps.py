"""Annotated heat maps: cells, labels, axes and colour bar of a matrix such as layer x head."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Colormap, Normalize
from matplotlib.patches import Rectangle

from pipeline.report.canvas import figure_of, inches, panel
from pipeline.report.colours import INK, QUIET, UNDEFINED

ROW_HEIGHT = 0.28  # inches of a layer
LEFT, BOTTOM, TOP, SCALE = 0.55, 0.5, 0.3, 0.85  # inches around a matrix, SCALE for its colour bar at the right
PAD = 0.06  # inches between cells and labels
BAR = 0.12  # inches, a colour bar's width
SLANT = 45  # degrees of labels over columns
CELL_FONT = 8  # points
LEVELS = 33  # of a colour scale: three scales fit a PNG's palette, and an odd number has a middle


def head_matrix(frame: pd.DataFrame, value: str) -> np.ndarray:
    """A column of a table of heads as a matrix [layer, head], NaN where a head has no row."""
    table = frame.pivot(index="layer", columns="head", values=value)
    return table.sort_index().sort_index(axis=1).to_numpy(dtype=float)


def panel_size(values: np.ndarray, column: float) -> tuple[float, float]:
    """Width and height of a matrix in inches, enough for its title and the label of its colour bar."""
    layers, heads = values.shape
    return max(heads * column, 1.6), max(layers * ROW_HEIGHT, 1.8)


def centred_norm(values: np.ndarray, least: float) -> CenteredNorm:
    """Symmetric colour scale around 0 up to the largest absolute value, at least `least`."""
    sizes = np.abs(values[np.isfinite(values)])
    return CenteredNorm(vcenter=0, halfrange=max(float(sizes.max(initial=0)), least))


def from_zero_norm(values: np.ndarray, least: float) -> Normalize:
    """Colour scale from 0 to the largest value, at least `least`."""
    return Normalize(0, max(float(values[np.isfinite(values)].max(initial=0)), least))


def draw_heatmap(axes: Axes, values: np.ndarray, norm: Normalize, colours: str, write: Callable[[float], str]) -> None:
    """Draw a matrix [layer, head] with every cell annotated and both axes labelled."""
    fill_cells(axes, values, norm, colours)
    annotate_cells(axes, values, norm, colours, write)
    label_heads(axes, values)


def label_heads(axes: Axes, values: np.ndarray) -> None:
    """Label both axes of a matrix [layer, head]."""
    layers, heads = values.shape
    label_rows(axes, [str(layer) for layer in range(layers)])
    label_columns(axes, [str(head) for head in range(heads)])
    name_axes(axes, rows="layer (from 0)", columns="head (from 0)", beyond=0.37)


def fill_cells(axes: Axes, values: np.ndarray, norm: Normalize, colours: str) -> None:
    """Colour the cells [row, column], row 0 on top; undefined ones grey."""
    axes.imshow(np.ma.masked_invalid(values), norm=norm, cmap=_colour_map(colours), aspect="auto")
    axes.set_axis_off()


def annotate_cells(
    axes: Axes, values: np.ndarray, norm: Normalize, colours: str, write: Callable[[float], str]
) -> None:
    """Write each cell's value into it, a dash where it is undefined."""
    texts = [[write(value) if np.isfinite(value) else "–" for value in row] for row in values]
    write_cells(axes, texts, values, norm, colours)


def write_cells(axes: Axes, texts: Sequence[Sequence[str]], values: np.ndarray, norm: Normalize, colours: str) -> None:
    """Write a text into each cell, in an ink that shows on the colour of its value."""
    colour_map = _colour_map(colours)
    for (row, column), value in np.ndenumerate(values):
        ink = _ink(colour_map(norm(value))) if np.isfinite(value) else INK
        axes.text(column, row, texts[row][column], ha="center", va="center", fontsize=CELL_FONT, color=ink)


def quieten_cells(axes: Axes, is_sure: np.ndarray) -> None:
    """Write the numbers of cells that are not sure, bool [row, column], in grey where they were dark."""
    for text in axes.texts:
        column, row = map(int, text.get_position())
        if not is_sure[row, column] and text.get_color() == INK:
            text.set_color(QUIET)


def frame_cells(
    axes: Axes, marked: np.ndarray, values: np.ndarray, norm: Normalize, colours: str, line: str = "-"
) -> None:
    """Draw a line inside the border of the marked cells, bool [row, column], in the ink of their text."""
    colour_map = _colour_map(colours)
    for row, column in np.argwhere(marked):
        ink = _ink(colour_map(norm(values[row, column])))
        axes.add_patch(Rectangle((column - 0.45, row - 0.42), 0.9, 0.84, fill=False, ec=ink, lw=1.1, ls=line))


def label_rows(axes: Axes, labels: Sequence[str], **font: Any) -> None:
    for row, label in enumerate(labels):
        label_row(axes, row, label, **font)


def label_row(axes: Axes, row: int, label: str, **font: Any) -> None:
    left = -PAD / inches(axes)[2]
    axes.text(left, row, label, transform=axes.get_yaxis_transform(), ha="right", va="center", **font)


def label_columns(axes: Axes, labels: Sequence[str], **font: Any) -> None:
    bottom = -PAD / inches(axes)[3]
    for column, label in enumerate(labels):
        axes.text(column, bottom, label, transform=axes.get_xaxis_transform(), ha="center", va="top", **font)


def head_columns(axes: Axes, labels: Sequence[str], above: float) -> None:
    """Write slanted labels over the columns, `above` inches from the cells."""
    top = 1 + above / inches(axes)[3]
    slanted: dict[str, Any] = {"rotation": SLANT, "rotation_mode": "anchor", "ha": "left", "va": "center"}
    for column, label in enumerate(labels):
        axes.text(column, top, label, transform=axes.get_xaxis_transform(), **slanted)


def name_axes(axes: Axes, rows: str, columns: str, beyond: float) -> None:
    """Write the axis titles of rows and columns, `beyond` inches outside the cells."""
    _, _, width, height = inches(axes)
    centred: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
    axes.text(-beyond / width, 0.5, rows, rotation=90, **centred)
    axes.text(0.5, -beyond / height, columns, **centred)


def colour_bar(axes: Axes, norm: Normalize, colours: str, label: str) -> None:
    """Draw the colour bar at the right of the axes, its ends and middle labelled."""
    left, bottom, width, height = inches(axes)
    bar = panel(figure_of(axes), left + width + 0.1, bottom, BAR, height)
    bar.imshow(np.linspace(1, 0, LEVELS)[:, None], cmap=_colour_map(colours), aspect="auto", extent=(0, 1, 0, 1))
    bar.set_axis_off()
    for share, align in ((0, "bottom"), (0.5, "center"), (1, "top")):
        bar.text(1 + PAD / BAR, share, _three_digits(norm.inverse(share)), va=align, fontsize=8)
    bar.text(1 + 0.5 / BAR, 0.5, label, rotation=90, ha="center", va="center", fontsize=8)


def signed(value: float) -> str:
    """Signed number with one decimal, never "-0.0"; without the decimal from 100 on, to fit the cell."""
    rounded = round(value, 1) + 0.0
    text = f"{rounded:+.1f}" if abs(rounded) < 100 else f"{rounded:+.0f}"
    return text if rounded else "0.0"


def _colour_map(name: str) -> Colormap:
    return colormaps[name].resampled(LEVELS).with_extremes(bad=UNDEFINED)


def _ink(background: tuple[float, float, float, float]) -> str:
    """Text colour with contrast to the background, by relative luminance (Rec. 709)."""
    red, green, blue, _ = background
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45 else INK


def _three_digits(value: float) -> str:
    """Three significant digits, three decimals at most, which fit between a colour bar and its label."""
    return f"{float(f'{value:.3g}'):.3f}".rstrip("0").rstrip(".")
