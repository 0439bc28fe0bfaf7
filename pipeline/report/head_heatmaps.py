"""Heat maps of all heads: changes and verdicts when masked, and each function's scores before and after fine-tuning."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED, UNDECIDED, VERDICTS
from pipeline.core.heads import Head
from pipeline.findings.verdict import percent
from pipeline.report import heatmaps
from pipeline.report.canvas import (
    CHANGES,
    SCORES,
    SHARES_OF_WAY,
    FigureText,
    RenderedFigure,
    blank_figure,
    panel,
    render_figure,
)
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
    """Heat maps, layer x head: relative headline change, and the primary measure's as a share of the way; red is worse.

    The second one's cells carry the verdicts.
    """
    columns = (results.headline.change, results.primary.to_constant)
    change, way = (100 * heatmaps.head_matrix(results.heads, column) for column in columns)
    figure, (left, right) = _two_panels(change)
    changes, shares = (heatmaps.centred_norm(values, least=0.1) for values in (change, way))
    heatmaps.draw_heatmap(left, change, changes, CHANGES, heatmaps.signed)
    left.set_title(f"single head masked: {results.headline.label}")
    heatmaps.colour_bar(left, changes, CHANGES, results.words.change_axis)
    _draw_verdicts(right, results.heads, way, shares)
    right.set_title(f"{results.primary.label}: needed heads framed, ? undecided")
    heatmaps.colour_bar(right, shares, SHARES_OF_WAY, results.words.way_axis)
    return render_figure(figure, _heads_text(results))


def _two_panels(values: np.ndarray) -> tuple[Figure, list[Axes]]:
    """A figure with two empty matrices, with room for a colour bar each."""
    width, height = heatmaps.panel_size(values, column=0.42)
    across = heatmaps.LEFT + width + heatmaps.SCALE
    figure = blank_figure(2 * across, heatmaps.BOTTOM + height + heatmaps.TOP)
    lefts = (heatmaps.LEFT, across + heatmaps.LEFT)
    return figure, [panel(figure, left, heatmaps.BOTTOM, width, height) for left in lefts]


def _draw_verdicts(axes: Axes, heads: pd.DataFrame, way: np.ndarray, norm: Normalize) -> None:
    """Draw shares of the way in percent: needed heads framed, harmful ones with a dashed line, "?" where undecided."""
    table = heads.pivot(index="layer", columns="head", values="verdict").sort_index().sort_index(axis=1)
    verdicts = table.to_numpy(dtype=object)
    heatmaps.fill_cells(axes, way, norm, SHARES_OF_WAY)
    texts = [
        [_decided(value, verdict) for value, verdict in zip(*row, strict=True)]
        for row in zip(way, verdicts, strict=True)
    ]
    heatmaps.write_cells(axes, texts, way, norm, SHARES_OF_WAY)
    for verdict, line in ((NEEDED, "-"), (HARMFUL, "--")):
        heatmaps.frame_cells(axes, verdicts == verdict, way, norm, SHARES_OF_WAY, line)
    heatmaps.label_heads(axes, way)


def _decided(value: float, verdict: str) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{heatmaps.signed(value)}?" if verdict == UNDECIDED else heatmaps.signed(value)


def _heads_text(results: Results) -> FigureText:
    (layers, heads), headline, words = results.shape, results.headline, results.words
    worst = results.heads.sort_values([headline.change, "layer", "head"]).iloc[0]
    counts = results.heads["verdict"].value_counts()
    verdicts = ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
    margin = results.tables.equivalence_margin
    return FigureText(
        name="heads_heatmap",
        title="Single heads masked",
        alt=f"Two heat maps of {layers} layers by {heads} heads; largest loss of {headline.label}: "
        f"{Head.of_row(worst).name}, {percent(float(worst[headline.change]))}; by {results.primary.label} {verdicts}.",
        caption=f"Left: change of {headline.label} when a single head is masked, {results.head_unit}. Right: change of "
        f"{results.primary.label} on the same pairs, as a share of the way from the unmasked model (0) to the "
        f"{words.constant}, which {words.knows} (100%); above 0 is worse. Red cells are worse, "
        "blue ones better, in both; each scale is symmetric about 0. A framed head is needed, one in a dashed "
        f"frame harmful: the change is surely larger than {margin:.0%} of the way. Of a number with a question mark it "
        f"is not decided; one without, unframed, is surely smaller than that. {verdicts}.",
    )


def profile_heatmap(results: Results, function: str) -> RenderedFigure:
    """Heat maps of one function before and after fine-tuning, and of the difference, in percent."""
    rows = results.profiles[results.profiles["function"] == function]
    before, after = (100 * heatmaps.head_matrix(rows[rows["phase"] == phase], "score") for phase in ("before", "after"))
    figure, panels = _profile_panels(function, rows, before, bars=(False, True, True))
    scores = heatmaps.from_zero_norm(np.stack([before, after]), least=1)
    differences = heatmaps.centred_norm(after - before, least=1)
    heatmaps.draw_heatmap(panels[0], before, scores, SCORES, "{:.0f}".format)
    _draw_scores(panels[1], after, scores, function)
    heatmaps.draw_heatmap(panels[2], after - before, differences, CHANGES, _signed)
    heatmaps.colour_bar(panels[2], differences, CHANGES, "percentage points")
    for axes, name in zip(panels, ("before", "after", "after minus before"), strict=True):
        axes.set_title(name)
    return render_figure(figure, _profile_text(results, function, rows))


def profile_after(results: Results, function: str) -> RenderedFigure:
    """Heat map of one function where there is no model before fine-tuning, in percent."""
    rows = results.profiles[results.profiles["function"] == function]
    after = 100 * heatmaps.head_matrix(rows, "score")
    figure, (axes,) = _profile_panels(function, rows, after, bars=(True,))
    _draw_scores(axes, after, heatmaps.from_zero_norm(after, least=1), function)
    return render_figure(figure, _score_text(results, function, rows))


def _profile_panels(
    function: str, rows: pd.DataFrame, values: np.ndarray, bars: Sequence[bool]
) -> tuple[Figure, list[Axes]]:
    """A figure headed by a function's name and chance, a matrix for each of `bars`: whether it has a colour bar."""
    width, height = heatmaps.panel_size(values, column=0.28)
    rights = list(accumulate(heatmaps.LEFT + width + (heatmaps.SCALE if bar else 0) for bar in bars))
    lefts = [heatmaps.LEFT + right for right in [0, *rights[:-1]]]
    figure = blank_figure(rights[-1], heatmaps.BOTTOM + height + 2 * heatmaps.TOP)
    head = f"{function}, {_chance(rows)}"
    figure.text(heatmaps.LEFT / figure.get_figwidth(), 0.96, head, va="top", fontsize=10)
    return figure, [panel(figure, left, heatmaps.BOTTOM, width, height) for left in lefts]


def _draw_scores(axes: Axes, scores: np.ndarray, norm: Normalize, function: str) -> None:
    """Draw scores [layer, head] in percent with their colour bar."""
    heatmaps.draw_heatmap(axes, scores, norm, SCORES, "{:.0f}".format)
    unit = "% of the maximum entropy" if function == "entropy" else "% of a token's attention"
    heatmaps.colour_bar(axes, norm, SCORES, unit)


def _signed(value: float) -> str:
    return f"{value:+.0f}" if round(value) else "0"


def _chance(rows: pd.DataFrame) -> str:
    """Chance of a function's scores, as figures word it."""
    chance = 100 * float(rows["chance"].mean())
    return f"chance {chance:.1f}%" if np.isfinite(chance) else "undefined in this data"


def _said(function: str) -> tuple[str, str]:
    """A function's title, and what its score is."""
    if function == "entropy":
        score = "Entropy of each token's attention in percent of the maximum, 0 for a single token"
        return "entropy of attention", score
    target = TARGETS.get(function, function)
    return f"attention to {target}", f"Share of a token's attention, in percent, that falls on {target}"


def _score_text(results: Results, function: str, rows: pd.DataFrame) -> FigureText:
    title, score = _said(function)
    return FigureText(
        name=f"profile_{function}",
        title=f"{function}: {title}",
        alt=f"Heat map of {function}, layer by head; {_chance(rows)}. Mean over heads "
        f"{_percent(rows['score'].mean())}.",
        caption=f"{score}, on {_pairs(results, function)} of the dev split. Darker is higher. Chance is the score of "
        "uniform attention.",
    )


def _profile_text(results: Results, function: str, rows: pd.DataFrame) -> FigureText:
    before, after = (rows.loc[rows["phase"] == phase, "score"].mean() for phase in ("before", "after"))
    title, score = _said(function)
    return FigureText(
        name=f"profile_{function}",
        title=f"{function}: {title}",
        alt=f"Three heat maps of {function}, layer by head; {_chance(rows)}. Mean over heads "
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
