"""A drawn figure as bytes, with the words that go with it.

Everything is placed in inches by hand: matplotlib's own layout draws each figure several times to find its margins.
"""

import io
from dataclasses import dataclass

import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Words:
    """What a figure says in words.

    Attributes:
        name: file name without ending, snake_case.
        title: heading in the report.
        alt: what is to be seen, for those who cannot see it.
        caption: unit, split, number of pairs, and how to read it.
    """

    name: str
    title: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Picture:
    words: Words
    png: bytes
    svg: bytes


def canvas(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; nothing global holds it, so nothing needs closing."""
    return Figure(figsize=(width, height))


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at this place of the figure, in inches from its lower left corner."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def inches(axes: Axes) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of the axes in their figure."""
    across, up = figure_of(axes).get_size_inches()
    box = axes.get_position()
    return box.x0 * across, box.y0 * up, box.width * across, box.height * up


def figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None, "panel() puts axes into a figure"
    return figure


def picture(figure: Figure, words: Words) -> Picture:
    """The figure in both formats, the same bytes for the same content."""
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(words, _png(figure), svg.getvalue())


def _png(figure: Figure) -> bytes:
    """The pixels with a palette: a third of the size of true colour, and every filled area exact."""
    drawing = FigureCanvasAgg(figure)
    drawing.draw()
    indices, palette = _paletted(np.asarray(drawing.buffer_rgba())[:, :, :3])
    packed, image = io.BytesIO(), PIL.Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    image.save(packed, format="png", optimize=True)
    return packed.getvalue()


def _paletted(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [row, column, channel] as indices [row, column] of their 256 commonest colours [index, channel].

    What is rarer, the soft edges of letters, takes the nearest of them.
    """
    counted = PIL.Image.fromarray(pixels).getcolors(pixels.shape[0] * pixels.shape[1])
    assert counted is not None, "there are no more colours than pixels"
    colours = np.array([colour for _, colour in sorted(counted, reverse=True)], dtype=np.int32)
    palette = colours[:256]
    nearest = np.zeros(1 << 24, dtype=np.uint8)
    nearest[_code(colours)] = ((colours[:, None] - palette) ** 2).sum(axis=-1).argmin(axis=1)
    return nearest[_code(pixels.astype(np.int32))], palette.astype(np.uint8)


def _code(colours: np.ndarray) -> np.ndarray:
    """One number a colour [..., channel]."""
    return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
