"""How every figure looks: fonts, sizes and colours, and what keeps its bytes the same from run to run."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import font_manager

from pipeline.reporting.text import has_cjk

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


def families(texts: Iterable[str]) -> list[str]:
    """Font families that draw the texts, in order of trial: a Chinese one joins only where it is needed and there."""
    if not any(map(has_cjk, texts)):
        return [LATIN]
    found = _installed()
    return [LATIN, *[name for name in CHINESE if name in found][:1]]


def advice(texts: Iterable[str]) -> str | None:
    """Which package to install, where the texts need a font that is not there."""
    texts = list(texts)
    return ADVICE if any(map(has_cjk, texts)) and families(texts) == [LATIN] else None


@contextmanager
def house(fonts: list[str]) -> Iterator[None]:
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
