"""Heat maps of all heads: what masking each costs, and how far each does what a function names."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.findings import select
from pipeline.findings.verdict import percent
from pipeline.report import heatmaps
from pipeline.report.canvas import CHANGES, SCORES, FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.results import Results


def heads_heatmap(results: Results) -> RenderedFigure:
    """Relative accuracy change in percent, layer x head, red lost and blue gained."""
    change = 100 * heatmaps.head_matrix(results.heads, select.CHANGE)
    width, height = heatmaps.panel_size(change, column=0.46)
    figure = blank_figure(heatmaps.LEFT + width + heatmaps.SCALE, heatmaps.BOTTOM + height + heatmaps.TOP)
    axes = panel(figure, heatmaps.LEFT, heatmaps.BOTTOM, width, height)
    norm = heatmaps.centred_norm(change, least=0.1)
    heatmaps.draw_heatmap(axes, change, norm, CHANGES, heatmaps.signed)
    axes.set_title("one head masked")
    heatmaps.colour_bar(axes, norm, CHANGES, "relative accuracy change (%)")
    return render_figure(figure, _effect_text(results))


def _effect_text(results: Results) -> FigureText:
    layers, heads = results.shape
    worst = results.heads.sort_values([select.CHANGE, "layer", "head"]).iloc[0]
    return FigureText(
        name="heads_heatmap",
        title="Every head masked alone",
        alt=f"Heat map of {layers} layers by {heads} heads; the most is lost by masking layer {worst['layer']:.0f} "
        f"head {worst['head']:.0f}: {percent(float(worst[select.CHANGE]))}.",
        caption=f"Change of accuracy when one head is masked, {results.unit}. Red cells are heads whose loss costs "
        "accuracy, blue cells heads whose loss helps, white about nothing; the scale is as long above 0 as below.",
    )


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


def profiled_functions(results: Results) -> list[str]:
    """The functions profiled, in the frame's order."""
    return results.profiles["function"].unique().tolist()


def profile_heatmap(results: Results, function: str) -> RenderedFigure:
    """Three matrices of one function: before, after, and after minus before, in percent."""
    rows = results.profiles[results.profiles["function"] == function]
    before, after = (100 * heatmaps.head_matrix(rows[rows["phase"] == phase], "score") for phase in ("before", "after"))
    chance = 100 * float(rows["chance"].mean())
    figure, panels = _three(after)
    scores, moved = (
        heatmaps.from_zero_norm(np.stack([before, after]), least=1),
        heatmaps.centred_norm(after - before, least=1),
    )
    for axes, values in zip(panels[:2], (before, after), strict=True):
        heatmaps.draw_heatmap(axes, values, scores, SCORES, _whole)
    heatmaps.draw_heatmap(panels[2], after - before, moved, CHANGES, _signed)
    for axes, name in zip(panels, ("before", "after", "after minus before"), strict=True):
        axes.set_title(name)
    heatmaps.colour_bar(panels[1], scores, SCORES, _unit(function))
    heatmaps.colour_bar(panels[2], moved, CHANGES, "percentage points")
    figure.text(heatmaps.LEFT / figure.get_figwidth(), 0.96, f"{function}, {_chance(chance)}", va="top", fontsize=10)
    return render_figure(figure, _profile_text(results, function, rows, chance))


def _three(values: np.ndarray) -> tuple[Figure, list[Axes]]:
    """A figure with three empty matrices; the last two have room for a colour bar."""
    width, height = heatmaps.panel_size(values, column=0.28)
    lefts = [heatmaps.LEFT, 2 * heatmaps.LEFT + width, 3 * heatmaps.LEFT + 2 * width + heatmaps.SCALE]
    figure = blank_figure(lefts[-1] + width + heatmaps.SCALE, heatmaps.BOTTOM + height + 2 * heatmaps.TOP)
    return figure, [panel(figure, left, heatmaps.BOTTOM, width, height) for left in lefts]


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


def _profile_text(results: Results, function: str, rows: pd.DataFrame, chance: float) -> FigureText:
    means = rows.groupby("phase")["score"].mean()
    return FigureText(
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
