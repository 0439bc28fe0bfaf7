"""Heat maps of all heads: changes and verdicts when masked, and each function's scores before and after fine-tuning."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED, UNDECIDED, VERDICTS
from pipeline.core.heads import Head
from pipeline.findings.verdict import percent
from pipeline.report import heatmaps
from pipeline.report.canvas import FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.colours import CHANGES, SCORES, SHARES_OF_WAY
from pipeline.report.results import Results

COLUMN = 0.46  # inches of a head
# Inches of small matrices, several of which stand in a row: a head, a layer, what is around them.
SMALL_COLUMN, SMALL_ROW, SMALL_LEFT, SMALL_TOP, SMALL_BOTTOM, SMALL_PANELS = 0.19, 0.16, 0.3, 0.75, 0.3, 3
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

    In both, needed heads are framed, and harmful ones with a dashed line.
    """
    columns = (results.headline.change, results.primary.to_constant)
    change, way = (100 * heatmaps.head_matrix(results.heads, column) for column in columns)
    verdicts = _verdicts(results.heads)
    figure, (upper, lower) = _stacked_panels(change, 2)
    changes, shares = (heatmaps.centred_norm(values, least=0.1) for values in (change, way))
    heatmaps.draw_heatmap(upper, change, changes, CHANGES, heatmaps.signed)
    _frame_verdicts(upper, verdicts, change, changes, CHANGES)
    upper.set_title(f"single head masked: {results.headline.label}, needed heads framed")
    heatmaps.colour_bar(upper, changes, CHANGES, results.words.change_axis)
    _draw_verdicts(lower, verdicts, way, shares)
    lower.set_title(f"{results.primary.label}, which decides: ? undecided")
    heatmaps.colour_bar(lower, shares, SHARES_OF_WAY, results.words.way_axis)
    return render_figure(figure, _heads_text(results))


def _stacked_panels(values: np.ndarray, count: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many empty matrices below each other, with room for a colour bar each."""
    width, height = heatmaps.panel_size(values, column=COLUMN)
    up = heatmaps.BOTTOM + height + heatmaps.TOP
    figure = blank_figure(heatmaps.LEFT + width + heatmaps.SCALE, count * up)
    bottoms = [heatmaps.BOTTOM + up * row for row in reversed(range(count))]
    return figure, [panel(figure, heatmaps.LEFT, bottom, width, height) for bottom in bottoms]


def _verdicts(heads: pd.DataFrame) -> np.ndarray:
    """Verdict of every head [layer, head]."""
    table = heads.pivot(index="layer", columns="head", values="verdict").sort_index().sort_index(axis=1)
    return table.to_numpy(dtype=object)


def _draw_verdicts(axes: Axes, verdicts: np.ndarray, way: np.ndarray, norm: Normalize) -> None:
    """Draw shares of the way in percent with the verdicts [layer, head]: framed, or "?" where undecided."""
    heatmaps.fill_cells(axes, way, norm, SHARES_OF_WAY)
    texts = [
        [_decided(value, verdict) for value, verdict in zip(*row, strict=True)]
        for row in zip(way, verdicts, strict=True)
    ]
    heatmaps.write_cells(axes, texts, way, norm, SHARES_OF_WAY)
    _frame_verdicts(axes, verdicts, way, norm, SHARES_OF_WAY)
    heatmaps.label_heads(axes, way)


def _frame_verdicts(axes: Axes, verdicts: np.ndarray, values: np.ndarray, norm: Normalize, colours: str) -> None:
    """Frame the cells of needed heads, and with a dashed line those of harmful ones."""
    for verdict, line in ((NEEDED, "-"), (HARMFUL, "--")):
        heatmaps.frame_cells(axes, verdicts == verdict, values, norm, colours, line)


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
        caption=f"Above: change of {headline.label} when a single head is masked, {results.head_unit}. Below: change "
        f"of {results.primary.label} on the same pairs, as a share of the way from the unmasked model (0) to the "
        f"{words.constant}, which {words.knows} (100%); above 0 is worse. Red cells are worse, blue ones better, in "
        f"both; each scale is symmetric about 0. A framed head is needed, one in a dashed frame harmful: the change is "
        f"surely larger than {margin:.0%} of the way. Of a number with a question mark it is not decided; one without, "
        f"unframed, is surely smaller than that. {verdicts}.",
    )


def profile_heatmap(results: Results, function: str) -> RenderedFigure:
    """Heat maps of one function after fine-tuning and of the difference that fine-tuning made, in percent."""
    rows = results.profiles[results.profiles["function"] == function]
    before, after = (100 * heatmaps.head_matrix(rows[rows["phase"] == phase], "score") for phase in ("before", "after"))
    figure, (upper, lower) = _stacked_panels(after, 2)
    _draw_scores(upper, after, function)
    upper.set_title(f"{function} after fine-tuning, {_chance(rows)}")
    differences = heatmaps.centred_norm(after - before, least=1)
    heatmaps.draw_heatmap(lower, after - before, differences, CHANGES, _signed)
    heatmaps.colour_bar(lower, differences, CHANGES, "percentage points")
    lower.set_title("after minus before")
    return render_figure(figure, _profile_text(results, function, rows))


def profile_after(results: Results, function: str) -> RenderedFigure:
    """Heat map of one function where there is no model before fine-tuning, in percent."""
    rows = results.profiles[results.profiles["function"] == function]
    scores = 100 * heatmaps.head_matrix(rows, "score")
    figure, (axes,) = _stacked_panels(scores, 1)
    _draw_scores(axes, scores, function)
    axes.set_title(f"{function}, {_chance(rows)}")
    return render_figure(figure, _score_text(results, function, rows))


def _draw_scores(axes: Axes, scores: np.ndarray, function: str) -> None:
    """Draw scores [layer, head] in percent with their colour bar."""
    norm = heatmaps.from_zero_norm(scores, least=1)
    heatmaps.draw_heatmap(axes, scores, norm, SCORES, "{:.0f}".format)
    unit = "% of the maximum entropy" if function == "entropy" else "% of a token's attention"
    heatmaps.colour_bar(axes, norm, SCORES, unit)


def function_profiles(results: Results) -> RenderedFigure:
    """Small heat maps, one a function: the scores of all heads, the labelled ones framed."""
    after = results.profiles[results.profiles["phase"] == "after"]
    functions = [str(name) for name in after["function"].unique()]
    layers, heads = results.shape
    width, height = max(SMALL_COLUMN * heads, 1.6), max(SMALL_ROW * layers, 0.5)
    across, up = SMALL_LEFT + width + 0.2, height + SMALL_TOP
    rows = -(-len(functions) // SMALL_PANELS)
    figure = blank_figure(SMALL_PANELS * across, rows * up + 0.1)
    for number, function in enumerate(functions):
        row, column = divmod(number, SMALL_PANELS)
        axes = panel(figure, column * across + SMALL_LEFT, (rows - row - 1) * up + SMALL_BOTTOM, width, height)
        _draw_small(axes, results, function, after[after["function"] == function])
    return render_figure(figure, _profiles_text(results, functions))


def _draw_small(axes: Axes, results: Results, function: str, rows: pd.DataFrame) -> None:
    """One function's scores without numbers, from 0 to its highest, with its chance in the title."""
    scores = 100 * heatmaps.head_matrix(rows, "score")
    norm = heatmaps.from_zero_norm(scores, least=1)
    heatmaps.fill_cells(axes, scores, norm, SCORES)
    labels = results.tables.labels
    labelled = labels[(labels["function"] == function) & labels["is_labelled"]]
    marked = np.zeros(scores.shape, dtype=bool)
    marked[labelled["layer"].to_numpy(dtype=int), labelled["head"].to_numpy(dtype=int)] = True
    heatmaps.frame_cells(axes, marked, scores, norm, SCORES)
    layers, heads = scores.shape
    heatmaps.label_rows(axes, ["0", *[""] * (layers - 2), str(layers - 1)] if layers > 1 else ["0"], fontsize=8)
    heatmaps.label_columns(axes, ["0", *[""] * (heads - 2), str(heads - 1)] if heads > 1 else ["0"], fontsize=8)
    top = f", up to {scores[np.isfinite(scores)].max():.0f}%" if np.isfinite(scores).any() else ""
    axes.set_title(f"{function}{top}\n{_chance(rows)}", fontsize=9)


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
        alt=f"Two heat maps of {function}, layer by head; {_chance(rows)}. Mean over heads "
        f"{_percent(before)} before and {_percent(after)} after fine-tuning.",
        caption=f"{score}, on {_pairs(results, function)} of the dev split, after fine-tuning, and its difference from "
        "before it in percentage points. Darker is higher; below, blue is an increase, red a decrease. Chance is the "
        "score of uniform attention.",
    )


def _profiles_text(results: Results, functions: list[str]) -> FigureText:
    labels = results.tables.labels
    counts = labels[labels["is_labelled"]].groupby("function").size()
    labelled = ", ".join(f"{function} {counts.get(function, 0)}" for function in functions)
    return FigureText(
        name="profiles",
        title="Every function",
        alt=f"Heat maps of {len(functions)} functions, layer by head. Labelled heads: {labelled}.",
        caption="Share of a token's attention that falls on the function's targets, and of entropy the share of its "
        f"maximum: a row a layer, a column a head, both from 0, on {_pairs(results, '')} of the dev split. White is 0, "
        "the darkest cell the highest score, which the title names beside chance, the score of uniform attention. "
        "Framed heads are labelled with the function: their score lies above its control. The explorer shows every "
        "score, before and after fine-tuning.",
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if np.isfinite(share) else "undefined"


def _pairs(results: Results, function: str) -> str:
    """Number of pairs behind the mean score, where the attention stage counted them."""
    count = results.attention.get(f"{function}_pairs", results.attention.get("dev_pairs"))
    return "the pairs" if count is None else f"{count} pairs"
