"""Figures as PNG and SVG bytes with their text: house style and fonts, panels, rendering."""

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import category

import matplotlib
import numpy as np
import PIL.Image
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.data.scripts import script_of
from pipeline.report.colours import GREY, INK
from pipeline.report.text import has_cjk, visible, width

CSS = 96  # pixels an inch of a page
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
NOTO = "Noto Sans"  # and a script's name
SYMBOL, SYMBOLS = "emoji and symbols", "Symbola"
ADVICE = (
    "The data holds Chinese, Japanese or Korean text and no installed font covers it: "
    "install one (Debian and Ubuntu: apt-get install fonts-noto-cjk) and run the report stage again."
)
OTHER_ADVICE = (
    "No installed font draws these characters of the data: {scripts}. Figures show boxes in their place; the page's "
    "own texts are not affected. Install a font (Debian and Ubuntu: apt-get install fonts-noto-core, for symbols "
    "fonts-symbola) and run the report stage again."
)

RC: dict[str, Any] = {
    "figure.dpi": 1.5 * CSS,  # a PNG stays sharp on a screen of finer pixels
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
    """Font families that draw the texts, in order of trial: beside the Latin one those needed that are installed."""
    texts = list(texts)
    families = [LATIN]
    if any(map(has_cjk, texts)):
        families += [name for name in CHINESE if name in _installed(CHINESE)][:1]
    if scripts := undrawn_scripts(texts, families):
        wanted = [SYMBOLS if script == SYMBOL else f"{NOTO} {script}" for script in scripts]
        families += [name for name in wanted if name in _installed([name])]
    return families


def font_advice(texts: Iterable[str]) -> str | None:
    """Advice on the packages to install where the texts need a font that is missing, naming the scripts."""
    texts = list(texts)
    families = font_families(texts)
    advice = [ADVICE] if any(map(has_cjk, texts)) and not set(CHINESE).intersection(families) else []
    if scripts := undrawn_scripts(texts, families):
        advice.append(OTHER_ADVICE.format(scripts=", ".join(scripts)))
    return " ".join(advice) or None


def undrawn_scripts(texts: Iterable[str], families: Iterable[str]) -> list[str]:
    """Scripts of characters that no font of the families has, as their names begin in Unicode (Thai), or SYMBOL.

    Chinese, Japanese and Korean are left to CHINESE.
    """
    characters = {one for text in texts for one in visible(text) if not one.isspace() and not has_cjk(one)}
    missing = [one for one in sorted(characters) if not any(ord(one) in _glyphs(family) for family in families)]
    names = [script_of(one).title() if one.isalnum() or category(one)[0] == "M" else SYMBOL for one in missing]
    return list(dict.fromkeys(name or SYMBOL for name in names))


@cache
def _glyphs(family: str) -> frozenset[int]:
    """Code points that the family's font draws, none where it is not installed."""
    try:
        path = font_manager.findfont(family, fallback_to_default=False)
    except ValueError:
        return frozenset()
    return frozenset(font_manager.get_font(path).get_charmap())


def drawn_width(text: str) -> int:
    """Display width of the text in columns as the fonts in use draw it: the box of a character they lack takes two."""
    families = matplotlib.rcParams["font.family"]
    boxes = [one for one in text if width(one) == 1 and not any(ord(one) in _glyphs(family) for family in families)]
    return width(text) + len(boxes)


@contextmanager
def report_style(fonts: list[str]) -> Iterator[None]:
    """Matplotlib settings of the report with these font families, for the duration of the block."""
    settings: Any = {**RC, "font.family": fonts}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # font_advice() says it once
        yield


def _installed(wanted: Sequence[str]) -> set[str]:
    """Family names known to matplotlib, whose cached list gets wanted fonts installed since, by their file names."""
    names = {font.name for font in font_manager.fontManager.ttflist}
    if names.isdisjoint(wanted):
        squeezed = tuple(name.replace(" ", "").replace("SC", "").lower() for name in wanted)
        for path in sorted(font_manager.findSystemFonts()):
            if Path(path).stem.replace("-", "").replace("_", "").lower().startswith(squeezed):
                font_manager.fontManager.addfont(path)
        names = {font.name for font in font_manager.fontManager.ttflist}
    return names


@dataclass(frozen=True)
class FigureText:
    """A figure's name, title, alternative text and caption."""

    name: str  # file name without ending, snake_case
    title: str  # heading in the report
    alt: str  # the content in words, for those who cannot see it
    caption: str  # unit, split, number of pairs, and how to read it


@dataclass(frozen=True)
class RenderedFigure:
    words: FigureText
    png: bytes
    svg: bytes
    width: int  # CSS pixels, 96 an inch


def blank_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; nothing global holds it, so nothing needs closing."""
    return Figure(figsize=(width, height))


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """New axes of the figure, in inches from its lower left corner."""
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


def ring_needed(axes: Axes, points: np.ndarray) -> None:
    """Draw a ring around the dots of needed heads, at points [head, 2]."""
    x, y = points.T
    axes.scatter(x, y, s=85, facecolors="none", edgecolors=INK, lw=1.3, label="needed", zorder=4)


def outer_legend(axes: Axes) -> None:
    """The legend at the right of the axes."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, handletextpad=0.3)


def lower_legend(axes: Axes, below: float) -> None:
    """One entry a label in a row at the lower end of the `below` inches under the axes; nothing without labels."""
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    if entries:
        place = (0.5, -below / inches(axes)[3])
        axes.legend(entries.values(), entries, loc="lower center", bbox_to_anchor=place, ncols=5, borderaxespad=0.2)


def change_panel(figure_height: float, across: str, up: str) -> tuple[Figure, Axes]:
    """A figure with one panel for curves of changes: a line at zero, axis titles, room for a legend above."""
    figure = blank_figure(7.4, figure_height)
    axes = panel(figure, 0.7, 0.5, 6.4, figure_height - 0.9)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.set(xlabel=across, ylabel=up)
    return figure, axes


def render_figure(figure: Figure, words: FigureText) -> RenderedFigure:
    """The figure in both formats, the same bytes for the same content."""
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return RenderedFigure(words, _png(figure), svg.getvalue(), round(CSS * figure.get_figwidth()))


def _png(figure: Figure) -> bytes:
    """The pixels with a palette: a third of the size of true colour, and every filled area exact."""
    agg = FigureCanvasAgg(figure)
    agg.draw()
    indices, palette = _paletted(np.asarray(agg.buffer_rgba())[:, :, :3])
    png, image = io.BytesIO(), PIL.Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    image.save(png, format="png", optimize=True)
    return png.getvalue()


def _paletted(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [row, column, channel] as indices [row, column] of their 256 commonest colours [index, channel].

    Rarer colours, the soft edges of letters, take the nearest of them.
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
