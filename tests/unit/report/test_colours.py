"""Colours: a function's is the same in figures and explorer, and told from the others by colour-blind readers."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps, colors

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.report import colours

SOURCE = Path("pipeline/report/explorer/app/src/colours.ts")
# What a dichromat sees of linear RGB, at full severity: Machado, Oliveira and Fernandes 2009.
VISION = {
    "all three cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
FROM_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = FROM_RGB.sum(axis=1)


def lab(colour: str, vision: np.ndarray) -> np.ndarray:
    """CIELAB of what such an eye sees of the colour."""
    rgb = np.array(colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = FROM_RGB @ np.clip(vision @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(chosen: list[str], vision: np.ndarray) -> float:
    seen = [lab(colour, np.asarray(vision)) for colour in chosen]
    return min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(seen, 2))


@pytest.mark.parametrize("vision", VISION.values(), ids=VISION)
def test_functions_are_told_apart_whatever_the_eye(vision: np.ndarray):
    """A difference of 2.3 is just noticeable; Okabe and Ito's orange and a dark yellow are 5 apart to a protanope."""
    assert nearest([*colours.FUNCTION_COLOURS.values(), colours.NO_FUNCTION, colours.INK], vision) > 15
    assert nearest(["#D55E00", "#7A6A00"], np.asarray(VISION["protanopia"])) < 6


def test_every_function_has_a_colour_that_says_nothing_else():
    others = {colours.BLUE, colours.ORANGE, colours.GREEN, colours.GREY, colours.INK}
    assert list(colours.FUNCTION_COLOURS) == list(FUNCTIONS)
    assert len({*colours.FUNCTION_COLOURS.values(), colours.NO_FUNCTION} - others) == len(FUNCTIONS) + 1
    assert colours.function_colour("word_order") == colours.INK


def test_the_explorer_has_the_same_colours():
    source = SOURCE.read_text(encoding="utf-8")
    constants = {
        name: [found.upper() for found in re.findall("#[0-9a-f]{6}", value)]
        for name, value in re.findall(r"^export const (\w+) = ([^;]+);", source, re.MULTILINE)
    }
    assert constants == {
        "LOST": [colours.LOST],
        "GAINED": [colours.GAINED],
        "AMOUNT": [colours.AMOUNT],
        "KINDS": list(colours.FUNCTION_COLOURS.values()),
    }


def test_the_explorers_poles_are_steps_of_the_figures_scales():
    """ColorBrewer's RdBu of eleven steps, and Purples of nine."""
    steps = {colours.LOST: (colours.CHANGES, 1 / 10), colours.GAINED: (colours.CHANGES, 9 / 10)}
    steps |= {colours.AMOUNT: (colours.SCORES, 7 / 8)}
    for colour, (scale, place) in steps.items():
        np.testing.assert_allclose(colormaps[scale](place)[:3], colors.to_rgb(colour), atol=0.02)
