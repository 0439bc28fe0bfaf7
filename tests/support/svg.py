"""What an SVG figure says."""

import html
import re

from pipeline.report.canvas import RenderedFigure


def svg_texts(figure: RenderedFigure) -> list[str]:
    """Every text of the figure, from the comments that an SVG carries with letters drawn as paths."""
    return [html.unescape(text) for text in re.findall(r"<!-- (.*?) -->", figure.svg.decode())]
