"""What each head attends to: one function's scores before and after fine-tuning, and their change."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.reporting import cells, grids, style
from pipeline.reporting.picture import Picture, Words, canvas, panel, picture
from pipeline.reporting.results import Results

LOOKS = {
    "term_match": "the same term in the other text",
    "segmentation": "the other tokens of its own word",
    "previous_term": "the term before",
    "next_term": "the term after",
    "self": "itself",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "cross_text": "the other text",
}


def functions(results: Results) -> list[str]:
    """The functions profiled, in the frame's order."""
    return results.profiles["function"].unique().tolist()


def profile(results: Results, function: str) -> Picture:
    """Three matrices of one function: before, after, and after minus before, in percent."""
    rows = results.profiles[results.profiles["function"] == function]
    before, after = (100 * grids.matrix(rows[rows["phase"] == phase], "score") for phase in ("before", "after"))
    chance = 100 * float(rows["chance"].mean())
    figure, panels = _three(after)
    scores, moved = grids.from_zero(np.stack([before, after]), least=1), grids.centred(after - before, least=1)
    for axes, values in zip(panels[:2], (before, after), strict=True):
        grids.draw(axes, values, scores, style.SCORES, _whole)
    grids.draw(panels[2], after - before, moved, style.CHANGES, _signed)
    for axes, name in zip(panels, ("before", "after", "after minus before"), strict=True):
        axes.set_title(name)
    cells.colour_bar(panels[1], scores, style.SCORES, _unit(function))
    cells.colour_bar(panels[2], moved, style.CHANGES, "percentage points")
    figure.text(grids.LEFT / figure.get_figwidth(), 0.96, f"{function}, {_chance(chance)}", va="top", fontsize=10)
    return picture(figure, _words(results, function, rows, chance))


def _three(values: np.ndarray) -> tuple[Figure, list[Axes]]:
    """A figure with three empty matrices; the last two have room for a colour bar."""
    width, height = grids.size(values, column=0.28)
    lefts = [grids.LEFT, 2 * grids.LEFT + width, 3 * grids.LEFT + 2 * width + grids.SCALE]
    figure = canvas(lefts[-1] + width + grids.SCALE, grids.BOTTOM + height + 2 * grids.TOP)
    return figure, [panel(figure, left, grids.BOTTOM, width, height) for left in lefts]


def _whole(value: float) -> str:
    return f"{value:.0f}"


def _signed(value: float) -> str:
    return f"{value:+.0f}" if round(value) else "0"


def _unit(function: str) -> str:
    return "% of the greatest entropy" if function == "entropy" else "% of a token's attention"


def _percent(share: float) -> str:
    return f"{share:.1%}" if np.isfinite(share) else "undefined"


def _chance(chance: float) -> str:
    return f"chance {chance:.1f}%" if np.isfinite(chance) else "undefined in this data"


def _words(results: Results, function: str, rows: pd.DataFrame, chance: float) -> Words:
    means = rows.groupby("phase")["score"].mean()
    return Words(
        name=f"profile_{function}",
        title=f"{function}: {_what(function)}",
        alt=f"Three heat maps of {function}, layer by head; {_chance(chance)}. Mean over heads "
        f"{_percent(means['before'])} before and {_percent(means['after'])} after fine-tuning.",
        caption=f"{_explained(function)}, on {_pairs(results, function)} of the dev split, before fine-tuning, after "
        f"it, and the difference in percentage points. Darker is more; in the last matrix blue grew and red shrank. "
        "Chance is what attention spread evenly would score.",
    )


def _what(function: str) -> str:
    if function == "entropy":
        return "how evenly attention is spread"
    return f"attention to {LOOKS.get(function, function)}"


def _explained(function: str) -> str:
    if function == "entropy":
        return "Entropy of each token's attention in percent of the greatest possible, 0 being all on one token"
    return f"Share of a token's attention, in percent, that falls on {LOOKS.get(function, function)}"


def _pairs(results: Results, function: str) -> str:
    """How many pairs the score is a mean over, where the attention stage counted them."""
    count = results.attention.get(f"{function}_pairs", results.attention.get("dev_pairs"))
    return "the pairs" if count is None else f"{count} pairs"
