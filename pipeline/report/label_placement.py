"""Label placement for scatter plots: no label covers a dot, another label, or the line from a label to its dot."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from pipeline.report.canvas import GREY, LATIN, inches

SIZE = 7  # points
DOT = 0.05  # inches, half a dot's width and its edge
GAPS = (0.06, 0.16, 0.28, 0.42)  # inches between a dot and its name; beyond the first a line joins them
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # across, up
STEP = 0.02  # inches between the points that stand for a line


@dataclass(frozen=True)
class Label:
    """Position of a label, in inches."""

    centre: np.ndarray  # [across, up]
    line: np.ndarray  # points from the dot to a name that is not next to it, [point, 2]; else none, [0, 2]


class _Room:
    """Occupied parts of a panel: `ink` [point, 2] of dots and lines, `boxes` [name, 4] (left, bottom, right, top)."""

    def __init__(self, dots: np.ndarray, width: float, height: float):
        self.dots, self.size = dots, (width, height)
        self.ink, self.boxes = dots, np.empty((0, 4))

    def try_place(self, dot: np.ndarray, half: np.ndarray, gap: float) -> Label | None:
        """The label on the first free side of the dot, at this gap; `half`: half its size. It takes its room."""
        for side in SIDES:
            centre = dot + np.array(side) * (gap + half)
            box = np.concatenate([centre - half, centre + half])
            joined = gap > GAPS[0]
            line = _line(dot, np.clip(dot, box[:2], box[2:])) if joined else np.empty((0, 2))
            clear = self._lets_pass(dot, line) if joined else self._belongs(box, dot)
            if clear and self._has(box) and not _within(self.ink, box, DOT).any():
                self.ink, self.boxes = np.vstack([self.ink, line]), np.vstack([self.boxes, box])
                return Label(centre, line)
        return None

    def _has(self, box: np.ndarray) -> bool:
        """Whether the box lies inside the panel and overlaps no other."""
        disjoint = (self.boxes[:, :2] >= box[2:]) | (self.boxes[:, 2:] <= box[:2])
        return bool((box[:2] >= 0).all() and (box[2:] <= self.size).all() and disjoint.any(axis=1).all())

    def _belongs(self, box: np.ndarray, dot: np.ndarray) -> bool:
        """Whether no other dot is nearer to the box."""
        away = np.hypot(*np.maximum(np.maximum(box[:2] - self.dots, self.dots - box[2:]), 0).T)
        return bool((away >= away[(self.dots == dot).all(axis=1)].max()).all())

    def _lets_pass(self, dot: np.ndarray, line: np.ndarray) -> bool:
        """Whether the line from the dot crosses no name and touches no other dot."""
        others = self.dots[(self.dots != dot).any(axis=1)]
        touched = (np.abs(line[:, None] - others) < DOT).all(axis=-1).any()
        return not touched and not any(_within(line, box, 0).any() for box in self.boxes)


def place_labels(dots: np.ndarray, names: dict[int, str], width: float, height: float) -> dict[int, Label]:
    """Place labels next to dots; a label without room near its dot is left out.

    Args:
        dots: every dot's position, inches from the panel's lower left corner, [dot, 2].
        names: index of a dot -> its name; the first have the first choice.
        width, height: inches of the panel, which no name leaves.
    """
    room, placed = _Room(dots, width, height), dict[int, Label]()
    halves = {dot: _size(name) / 2 for dot, name in names.items()}
    for gap in GAPS:
        for dot in [dot for dot in names if dot not in placed]:
            label = room.try_place(dots[dot], halves[dot], gap)
            if label is not None:
                placed[dot] = label
    return placed


def draw_labels(axes: Axes, points: np.ndarray, names: dict[int, str]) -> None:
    """Draw labels next to points [point, 2] of a scatter plot, see `place_labels`; the axes' limits are final."""
    corner, end = np.transpose([axes.get_xlim(), axes.get_ylim()])
    _, _, width, height = inches(axes)
    unit = (end - corner) / (width, height)
    for index, label in place_labels((points - corner) / unit, names, width, height).items():
        if len(label.line):
            axes.plot(*(corner + unit * label.line).T, color=GREY, lw=0.6)
        x, y = corner + unit * label.centre
        axes.text(x, y, names[index], fontsize=SIZE, ha="center", va="center_baseline")


def _size(name: str) -> np.ndarray:
    """Width and height in inches, with a little room around."""
    extent = TextPath((0, 0), name, size=SIZE, prop=FontProperties(family=LATIN)).get_extents()
    return np.array([extent.width, extent.height]) / 72 + 0.04


def _line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    return np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / STEP))


def _within(points: np.ndarray, box: np.ndarray, margin: float) -> np.ndarray:
    """Which points [point, 2] lie in the box or so near it, bool [point]."""
    inside: np.ndarray = (points > box[:2] - margin) & (points < box[2:] + margin)
    return np.all(inside, axis=1)
