"""Layer x head matrices as heat maps with their values written in."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Normalize

from pipeline.reporting import cells

ROW = 0.28  # inches of a layer
LEFT, BOTTOM, TOP, SCALE = 0.55, 0.5, 0.3, 0.85  # inches around a matrix, SCALE for its colour bar at the right


def matrix(frame: pd.DataFrame, value: str) -> np.ndarray:
    """The column as [layer, head], NaN where a head has no row."""
    table = frame.pivot(index="layer", columns="head", values=value)
    return table.sort_index().sort_index(axis=1).to_numpy(dtype=float)


def size(values: np.ndarray, column: float) -> tuple[float, float]:
    """Inches of a matrix whose columns are so wide; never smaller than its title and the label of its colour bar."""
    layers, heads = values.shape
    return max(heads * column, 1.6), max(layers * ROW, 1.8)


def centred(values: np.ndarray, least: float) -> CenteredNorm:
    """A scale with white at 0, the same length both ways: the largest size among the values, at least `least`."""
    sizes = np.abs(values[np.isfinite(values)])
    return CenteredNorm(vcenter=0, halfrange=max(float(sizes.max(initial=0)), least))


def from_zero(values: np.ndarray, least: float) -> Normalize:
    """A scale from 0 to the largest value, at least `least`."""
    return Normalize(0, max(float(values[np.isfinite(values)].max(initial=0)), least))


def draw(axes: Axes, values: np.ndarray, norm: Normalize, colours: str, write: Callable[[float], str]) -> None:
    """One matrix [layer, head], every cell annotated and both axes labelled."""
    cells.fill(axes, values, norm, colours)
    cells.annotate(axes, values, norm, colours, write)
    layers, heads = values.shape
    cells.label_rows(axes, [str(layer) for layer in range(layers)])
    cells.label_columns(axes, [str(head) for head in range(heads)])
    cells.name_axes(axes, rows="layer (from 0)", columns="head (from 0)", beyond=0.37)
