"""Attention maps of example pairs: after fine-tuning, and what it changed.

Where there is no model before fine-tuning, the map of the one there is.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from tqdm import tqdm

from pipeline.attention.example_pairs import MOST_MAPPED as MOST_TOKENS
from pipeline.core.heads import Head
from pipeline.report import heatmaps
from pipeline.report.canvas import (
    FigureText,
    RenderedFigure,
    blank_figure,
    drawn_width,
    inches,
    panel,
    render_figure,
)
from pipeline.report.colours import CHANGES, GREY, SCORES
from pipeline.report.results import ExamplePair, Results
from pipeline.report.text import shortened, visible

LEAST_TOKENS = 14  # a shorter pair's map is drawn as large as one of so many tokens
CELL = 0.165  # inches a token
COLUMN = 0.06  # inches a column of a label
LABEL = 12  # columns of a token's label


def most_changed(profiles: pd.DataFrame, count: int) -> dict[Head, float]:
    """Heads with the largest absolute change of term_match -> the change, without undefined ones."""
    rows = profiles[profiles["function"] == "term_match"]
    table = rows.pivot(index=["layer", "head"], columns="phase", values="score")
    change = (table["after"] - table["before"]).dropna()
    order = change.abs().sort_values(ascending=False, kind="stable").index[:count]
    return {Head(*map(int, head)): float(change[head]) for head in order}


def strongest(profiles: pd.DataFrame, count: int) -> dict[Head, float]:
    """Heads with the highest score of term_match after fine-tuning -> the score, without undefined ones."""
    rows = profiles[(profiles["function"] == "term_match") & (profiles["phase"] == "after")]
    scores = rows.set_index(["layer", "head"])["score"].dropna()
    order = scores.sort_values(ascending=False, kind="stable").index[:count]
    return {Head(*map(int, head)): float(scores[head]) for head in order}


def example_maps(results: Results) -> list[RenderedFigure]:
    """Attention maps, one figure per example pair and head."""
    choose, draw, word = (
        (most_changed, _two_maps, _maps_text) if results.tables.has_before else (strongest, _one_map, _map_text)
    )
    heads = choose(results.profiles, results.example_heads)
    pairs = tqdm(results.example_pairs, desc="maps", unit="pair", delay=1)
    return [
        render_figure(draw(pair, head), word(results, index, head, number))
        for index, pair in enumerate(pairs)
        for head, number in heads.items()
    ]


def _one_map(pair: ExamplePair, head: Head) -> Figure:
    """Attention [query, key] of the model."""
    figure, (axes,) = _panels(pair, 1)
    _draw_attention(axes, "attention", _map_of(pair.after, head), pair)
    return figure


def _two_maps(pair: ExamplePair, head: Head) -> Figure:
    """Attention [query, key] after fine-tuning, and its change."""
    figure, (left, right) = _panels(pair, 2)
    assert pair.before is not None, "there is a model before fine-tuning"
    after = _map_of(pair.after, head)
    _draw_attention(left, "after fine-tuning", after, pair)
    change = after - _map_of(pair.before, head)
    norm = heatmaps.centred_norm(change[:, _in_texts(pair)], least=0.01)
    _draw_map(right, "after minus before", change, pair, norm, CHANGES, "change of the share")
    return figure


def _map_of(maps: np.ndarray, head: Head) -> np.ndarray:
    """A head's map [query, key], of the tokens shown."""
    return maps[head][:MOST_TOKENS, :MOST_TOKENS].astype(float)


def _labels(pair: ExamplePair) -> list[str]:
    """The tokens shown."""
    return [shortened(token, LABEL) for token in pair.tokens[:MOST_TOKENS]]


def _panels(pair: ExamplePair, count: int) -> tuple[Figure, list[Axes]]:
    """A figure with square maps side by side, and room for labels of rows at the left."""
    labels = _labels(pair)
    side, margin = CELL * max(len(labels), LEAST_TOKENS), 0.4 + COLUMN * max(map(drawn_width, labels))
    across = side + heatmaps.SCALE + 0.15
    figure = blank_figure(margin + count * across, margin + side + heatmaps.TOP + 0.05)
    return figure, [panel(figure, margin + place * across, margin, side, side) for place in range(count)]


def _in_texts(pair: ExamplePair) -> np.ndarray:
    """Whether each token shown is in a text, bool [token]; all where none is."""
    in_texts = np.array(pair.segment[:MOST_TOKENS]) >= 0
    return in_texts if in_texts.any() else ~in_texts


def _draw_attention(axes: Axes, title: str, values: np.ndarray, pair: ExamplePair) -> None:
    """Shares of attention [query, key], coloured up to the largest on a token of a text, with both axes labelled."""
    norm = heatmaps.from_zero_norm(values[:, _in_texts(pair)], least=0.01)
    _draw_map(axes, title, values, pair, norm, SCORES, "share of attention (0 to 1)")
    heatmaps.label_rows(axes, _labels(pair), fontsize=8)
    beyond = inches(axes)[0] - 0.15
    heatmaps.name_axes(axes, rows="attending (query)", columns="attended to (key)", beyond=beyond)


def _draw_map(
    axes: Axes,
    title: str,
    values: np.ndarray,
    pair: ExamplePair,
    norm: Normalize,
    colours: str,
    unit: str,
) -> None:
    """One map [query, key] with the keys' tokens below it, and lines around the texts."""
    heatmaps.fill_cells(axes, values, norm, colours)
    heatmaps.label_columns(axes, _labels(pair), fontsize=8, rotation=90)
    heatmaps.colour_bar(axes, norm, colours, unit)
    for edge in 0.5 + np.flatnonzero(np.diff(pair.segment[:MOST_TOKENS])):
        axes.axhline(edge, color=GREY, lw=0.6)
        axes.axvline(edge, color=GREY, lw=0.6)
    axes.set_title(title)


def _maps_text(results: Results, index: int, head: Head, change: float) -> FigureText:
    shown = "after fine-tuning, and its change"
    return _text(results, index, head, shown, f"changed by {100 * change:+.1f} percentage points")


def _map_text(results: Results, index: int, head: Head, score: float) -> FigureText:
    return _text(results, index, head, "as the model has it", f"is {100 * score:.1f}%")


def _text(results: Results, index: int, head: Head, shown: str, score: str) -> FigureText:
    pair, tokens = results.example_pairs[index], len(results.example_pairs[index].tokens)
    cut = f" The first {MOST_TOKENS} of {tokens} tokens are shown." if tokens > MOST_TOKENS else ""
    below = "" if cut else " below (sums to 1)"
    return FigureText(
        name=f"maps_pair_{index}_layer_{head.layer}_head_{head.head}",
        title=f"Pair {index + 1}, {head.name}",
        alt=f"Attention maps of {head.name} on “{shortened(pair.query, 60)}” and “{shortened(pair.title, 80)}”: "
        f"{shown}.",
        caption=f"Attention of {head.name} on one pair of the dev split, query “{shortened(pair.query, 300)}”, title "
        f"“{shortened(pair.title, 300)}”, grade {visible(results.grade_text(pair.grade))}. Each row is one "
        f"token's attention distribution over the tokens{below}; grey lines part [CLS], [SEP] and the texts. A colour "
        "scale ends at the largest value on a word; special tokens may lie beyond it. Over the dev split this head's "
        f"term_match {score}.{cut}",
    )
