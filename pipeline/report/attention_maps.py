"""Attention maps of example pairs, as in the article: before and after fine-tuning, increase and decrease.

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
from pipeline.report.canvas import GREW, SCORES, SHRANK, FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.results import ExamplePair, Results
from pipeline.report.text import shortened, visible, width

LEAST_TOKENS = 14  # a shorter pair's map is drawn as large as one of so many tokens
CELL = 0.16  # inches a token
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
        (most_changed, _four_maps, _maps_text) if results.tables.has_before else (strongest, _one_map, _map_text)
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
    labels = [shortened(token, LABEL) for token in pair.tokens[:MOST_TOKENS]]
    size = len(labels)
    values = pair.after[(*head, slice(size), slice(size))].astype(float)
    margin, side = 0.25 + COLUMN * max(map(width, labels)), CELL * max(size, LEAST_TOKENS)
    figure = blank_figure(margin + side + heatmaps.SCALE + 0.15, margin + side + heatmaps.TOP + 0.2)
    axes = panel(figure, margin + 0.15, margin + 0.15, side, side)
    _draw_map(axes, "attention", values, labels, margin, heatmaps.from_zero_norm(values, least=0.01), SCORES)
    return figure


def _four_maps(pair: ExamplePair, head: Head) -> Figure:
    """Attention [query, key] before and after fine-tuning, its increase and its decrease."""
    labels = [shortened(token, LABEL) for token in pair.tokens[:MOST_TOKENS]]
    size = len(labels)
    assert pair.before is not None, "there is a model before fine-tuning"
    before, after = (maps[(*head, slice(size), slice(size))].astype(float) for maps in (pair.before, pair.after))
    margin = 0.25 + COLUMN * max(map(width, labels))
    figure, panels = _four_panels(CELL * max(size, LEAST_TOKENS), margin)
    scores = heatmaps.from_zero_norm(np.stack([before, after]), least=0.01)
    changes = heatmaps.from_zero_norm(np.abs(after - before), least=0.01)
    _draw_map(panels[0], "before", before, labels, margin, scores, SCORES)
    _draw_map(panels[1], "after", after, labels, margin, scores, SCORES)
    _draw_map(panels[2], "increase", np.maximum(after - before, 0), labels, margin, changes, GREW)
    _draw_map(panels[3], "decrease", np.maximum(before - after, 0), labels, margin, changes, SHRANK)
    return figure


def _four_panels(side: float, margin: float) -> tuple[Figure, list[Axes]]:
    """A figure with four square maps, two by two, with `margin` inches for their labels and room for colour bars."""
    across, up = margin + side + heatmaps.SCALE + 0.15, margin + side + heatmaps.TOP + 0.2
    figure = blank_figure(2 * across, 2 * up)
    corners = [(column * across + margin + 0.15, row * up + margin + 0.15) for row in (1, 0) for column in (0, 1)]
    return figure, [panel(figure, left, bottom, side, side) for left, bottom in corners]


def _draw_map(
    axes: Axes, title: str, values: np.ndarray, labels: list[str], margin: float, norm: Normalize, colours: str
) -> None:
    """One map [query, key] with its tokens along both sides."""
    heatmaps.fill_cells(axes, values, norm, colours)
    heatmaps.label_rows(axes, labels, fontsize=7)
    heatmaps.label_columns(axes, labels, fontsize=7, rotation=90)
    heatmaps.name_axes(axes, rows="attending (query)", columns="attended to (key)", beyond=margin)
    heatmaps.colour_bar(axes, norm, colours, "share of attention (0 to 1)")
    axes.set_title(title)


def _maps_text(results: Results, index: int, head: Head, change: float) -> FigureText:
    shown = "before and after fine-tuning, increase and decrease"
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
        f"token's attention distribution over the tokens{below}. Over the dev split this head's term_match "
        f"{score}.{cut}",
    )
