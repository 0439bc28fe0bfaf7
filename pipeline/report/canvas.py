"""The page that every figure is drawn on: fonts and colours, panels, and a figure as bytes with its text."""

import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import PIL.Image
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.report.text import has_cjk


@dataclass(frozen=True)
class FigureText:
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
class RenderedFigure:
    words: FigureText
    png: bytes
    svg: bytes


def blank_figure(width: float, height: float) -> Figure:
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


def render_figure(figure: Figure, words: FigureText) -> RenderedFigure:
    """The figure in both formats, the same bytes for the same content."""
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return RenderedFigure(words, _png(figure), svg.getvalue())


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
    nearest[_colour_code(colours)] = ((colours[:, None] - palette) ** 2).sum(axis=-1).argmin(axis=1)
    return nearest[_colour_code(pixels.astype(np.int32))], palette.astype(np.uint8)


def _colour_code(colours: np.ndarray) -> np.ndarray:
    """One number a colour [..., channel]."""
    return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]


# Colours told apart without red-green vision (Okabe and Ito 2008).
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#9A9A9A", "#222222"
# Seven kinds of thing at once: Okabe and Ito's colours without black and with their yellow darkened to show on white.
KINDS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00")
SCORES = "Purples"  # sequential: how much
CHANGES = "RdBu"  # diverging: red lost, blue gained, white nothing
GREW, SHRANK = "Blues", "Reds"
UNDEFINED = "#DDDDDD"

LATIN = "DejaVu Sans"  # comes with matplotlib, hence the same everywhere
CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Noto Sans CJK JP",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "Microsoft YaHei",
    "SimHei",
    "Noto Serif CJK SC",
    "Droid Sans Fallback",
)
ADVICE = (
    "The data holds Chinese, Japanese or Korean text and no font here can draw it: "
    "install one (Debian and Ubuntu: apt-get install fonts-noto-cjk) and run the report stage again."
)

RC: dict[str, Any] = {
    "figure.dpi": 120,
    "figure.facecolor": "white",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,  # a token may be a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "image.interpolation": "none",  # an SVG keeps one pixel a cell
    "svg.hashsalt": "bert-head-analysis",
    "svg.fonttype": "path",  # looks the same wherever it is opened
}


def font_families(texts: Iterable[str]) -> list[str]:
    """Font families that draw the texts, in order of trial: a Chinese one joins only where it is needed and there."""
    if not any(map(has_cjk, texts)):
        return [LATIN]
    found = _installed()
    return [LATIN, *[name for name in CHINESE if name in found][:1]]


def font_advice(texts: Iterable[str]) -> str | None:
    """Which package to install, where the texts need a font that is not there."""
    texts = list(texts)
    return ADVICE if any(map(has_cjk, texts)) and font_families(texts) == [LATIN] else None


@contextmanager
def report_style(fonts: list[str]) -> Iterator[None]:
    """Draw and save in the house style with these font families; matplotlib's own settings come back after."""
    settings: Any = {**RC, "font.family": fonts}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # said once, by advice()
        yield


def _installed() -> set[str]:
    """Known family names; matplotlib caches its list, so fonts installed since are added by their file names."""
    names = {font.name for font in font_manager.fontManager.ttflist}
    if names.isdisjoint(CHINESE):
        squeezed = tuple(name.replace(" ", "").replace("SC", "").lower() for name in CHINESE)
        for path in sorted(font_manager.findSystemFonts()):
            if Path(path).stem.replace("-", "").replace("_", "").lower().startswith(squeezed):
                font_manager.fontManager.addfont(path)
        names = {font.name for font in font_manager.fontManager.ttflist}
    return names
