"""Heat maps of all heads: accuracy change when masked, and scores of each function before and after fine-tuning."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.core.heads import Head
from pipeline.findings import select
from pipeline.findings.verdict import percent
from pipeline.report import canvas, heatmaps
from pipeline.report.canvas import CHANGES, SCORES, FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.results import Results

TARGETS = {
    "term_match": "the same term in the other text",
    "segmentation": "the other tokens of the same word",
    "previous_term": "the term before",
    "next_term": "the term after",
    "self": "itself",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "cross_text": "the other text",
}


def heads_heatmap(results: Results) -> RenderedFigure:
    """Heat map of the relative accuracy change in percent, layer x head, red losses and blue gains."""
    change = 100 * heatmaps.head_matrix(results.heads, select.CHANGE)
    width, height = heatmaps.panel_size(change, column=0.46)
    figure = blank_figure(heatmaps.LEFT + width + heatmaps.SCALE, heatmaps.BOTTOM + height + heatmaps.TOP)
    axes = panel(figure, heatmaps.LEFT, heatmaps.BOTTOM, width, height)
    norm = heatmaps.centred_norm(change, least=0.1)
    heatmaps.draw_heatmap(axes, change, norm, CHANGES, heatmaps.signed)
    axes.set_title("single head masked")
    heatmaps.colour_bar(axes, norm, CHANGES, canvas.CHANGE_AXIS)
    return render_figure(figure, _heads_text(results))


def _heads_text(results: Results) -> FigureText:
    layers, heads = results.shape
    worst = results.heads.sort_values([select.CHANGE, "layer", "head"]).iloc[0]
    return FigureText(
        name="heads_heatmap",
        title="Single heads masked",
        alt=f"Heat map of {layers} layers by {heads} heads; largest loss: {Head.of_row(worst).name}, "
        f"{percent(float(worst[select.CHANGE]))}.",
        caption=f"Change of accuracy when a single head is masked, {results.unit}. Red cells are losses, blue "
        "cells gains, white no change; the scale is symmetric about 0.",
    )


def profile_heatmap(results: Results, function: str) -> RenderedFigure:
    """Heat maps of one function before and after fine-tuning, and of the difference, in percent."""
    rows = results.profiles[results.profiles["function"] == function]
    before, after = (100 * heatmaps.head_matrix(rows[rows["phase"] == phase], "score") for phase in ("before", "after"))
    chance = 100 * float(rows["chance"].mean())
    figure, panels = _three_panels(before)
    scores = heatmaps.from_zero_norm(np.stack([before, after]), least=1)
    differences = heatmaps.centred_norm(after - before, least=1)
    heatmaps.draw_heatmap(panels[0], before, scores, SCORES, "{:.0f}".format)
    heatmaps.draw_heatmap(panels[1], after, scores, SCORES, "{:.0f}".format)
    heatmaps.draw_heatmap(panels[2], after - before, differences, CHANGES, _signed)
    for axes, name in zip(panels, ("before", "after", "after minus before"), strict=True):
        axes.set_title(name)
    unit = "% of the maximum entropy" if function == "entropy" else "% of a token's attention"
    heatmaps.colour_bar(panels[1], scores, SCORES, unit)
    heatmaps.colour_bar(panels[2], differences, CHANGES, "percentage points")
    figure.text(heatmaps.LEFT / figure.get_figwidth(), 0.96, f"{function}, {_chance(chance)}", va="top", fontsize=10)
    return render_figure(figure, _profile_text(results, function, rows, chance))


def _three_panels(values: np.ndarray) -> tuple[Figure, list[Axes]]:
    """A figure with three empty matrices; the last two have room for a colour bar."""
    width, height = heatmaps.panel_size(values, column=0.28)
    lefts = [heatmaps.LEFT, 2 * heatmaps.LEFT + width, 3 * heatmaps.LEFT + 2 * width + heatmaps.SCALE]
    figure = blank_figure(lefts[-1] + width + heatmaps.SCALE, heatmaps.BOTTOM + height + 2 * heatmaps.TOP)
    return figure, [panel(figure, left, heatmaps.BOTTOM, width, height) for left in lefts]


def _signed(value: float) -> str:
    return f"{value:+.0f}" if round(value) else "0"


def _chance(chance: float) -> str:
    return f"chance {chance:.1f}%" if np.isfinite(chance) else "undefined in this data"


def _profile_text(results: Results, function: str, rows: pd.DataFrame, chance: float) -> FigureText:
    before, after = (rows.loc[rows["phase"] == phase, "score"].mean() for phase in ("before", "after"))
    target = TARGETS.get(function, function)
    title, score = f"attention to {target}", f"Share of a token's attention, in percent, that falls on {target}"
    if function == "entropy":
        title = "entropy of attention"
        score = "Entropy of each token's attention in percent of the maximum, 0 for a single token"
    return FigureText(
        name=f"profile_{function}",
        title=f"{function}: {title}",
        alt=f"Three heat maps of {function}, layer by head; {_chance(chance)}. Mean over heads "
        f"{_percent(before)} before and {_percent(after)} after fine-tuning.",
        caption=f"{score}, on {_pairs(results, function)} of the dev split, before fine-tuning, after "
        f"it, and the difference in percentage points. Darker is higher; in the last matrix blue is an "
        "increase, red a decrease. Chance is the score of uniform attention.",
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if np.isfinite(share) else "undefined"


def _pairs(results: Results, function: str) -> str:
    """Number of pairs behind the mean score, where the attention stage counted them."""
    count = results.attention.get(f"{function}_pairs", results.attention.get("dev_pairs"))
    return "the pairs" if count is None else f"{count} pairs"
