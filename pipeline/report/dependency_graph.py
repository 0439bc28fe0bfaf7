"""Dependency of high heads on low heads: the layered graph of edges, and a relay head's attention on example pairs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.core.heads import Head
from pipeline.report import canvas
from pipeline.report.canvas import FigureText, RenderedFigure, blank_figure, panel, render_figure
from pipeline.report.colours import BLUE, GREY, NO_FUNCTION, ORANGE, function_colour
from pipeline.report.results import Results
from pipeline.report.text import shortened
from pipeline.stats.bootstrap import SIGNIFICANCE
from pipeline.tables.dependency import CLS, OTHER_TERM, PUNCTUATION, SEP, SHARED

STRONGEST = 30  # edges drawn
COLUMN = 0.55  # inches of a head
ROWS, LEAST_ROW, MOST_ROW = 6.0, 0.4, 0.85  # inches of all layers, of one at least and at most
KIND, TOKEN = 0.32, 0.21  # inches of a kind's row, of a token's
STATES = {"unmasked": (-0.2, BLUE, "unmasked"), "masked": (0.2, ORANGE, "term-match heads masked")}


def dependency_graph(results: Results) -> RenderedFigure:
    """Layered graph of the strongest significant edges, from a masked head to a later head."""
    layers, heads = results.shape
    significant = results.edges[results.edges["q"] < SIGNIFICANCE]
    order = ["js", "source_layer", "source_head"]
    strongest = significant.sort_values(order, ascending=[False, True, True]).head(STRONGEST)
    height = layers * float(np.clip(ROWS / layers, LEAST_ROW, MOST_ROW))
    figure = blank_figure(0.7 + COLUMN * heads + 1.6, 0.6 + height + 0.2)
    axes = panel(figure, 0.7, 0.5, COLUMN * heads, height)
    _draw_edges(axes, strongest)
    _draw_nodes(axes, results.head_embedding)
    if results.needed:
        canvas.ring_needed(axes, np.array([(head.head, head.layer) for head in sorted(results.needed)]))
    axes.set(xlabel="head (from 0)", ylabel="layer (from 0)", xlim=(-0.6, heads - 0.4), ylim=(-0.4, layers - 0.6))
    axes.set_xticks(range(heads))
    axes.set_yticks(range(layers))
    canvas.outer_legend(axes)
    return render_figure(figure, _graph_text(results, strongest, len(significant)))


def _draw_edges(axes: Axes, edges: pd.DataFrame) -> None:
    """Draw arcs as wide as the distance, orange where attention to shared terms increases."""
    style = {"arrowstyle": "-", "alpha": 0.7, "connectionstyle": "arc3,rad=0.08"}
    for _, edge in edges.iterrows():
        width = 0.3 + 3 * edge["js"] / edges["js"].max()
        colour = ORANGE if edge["shared_term_share_change"] > 0 else BLUE
        target, source = ((edge[f"{end}_head"], edge[f"{end}_layer"]) for end in ("target", "source"))
        axes.annotate("", target, source, arrowprops={**style, "lw": width, "color": colour})


def _draw_nodes(axes: Axes, embedding: pd.DataFrame) -> None:
    """Draw all heads, in the colour of their first function."""
    none = embedding[embedding["function"].isna()]
    axes.scatter(none["head"], none["layer"], s=50, color=NO_FUNCTION, lw=0.5, ec=GREY, label="no function", zorder=3)
    for function in (name for name in FUNCTIONS if name in set(embedding["function"])):
        heads, colour = embedding[embedding["function"] == function], function_colour(function)
        axes.scatter(heads["head"], heads["layer"], s=50, color=colour, lw=0, label=shortened(function, 22), zorder=3)


def _graph_text(results: Results, strongest: pd.DataFrame, significant: int) -> FigureText:
    first = "no significant edge"
    if len(strongest):
        edge = strongest.iloc[0]
        source, target = (Head(int(edge[f"{end}_layer"]), int(edge[f"{end}_head"])) for end in ("source", "target"))
        first = f"the strongest goes from {source.name} to {target.name} (distance {edge['js']:.2f})"
    return FigureText(
        name="dependency_graph",
        title="Effect of masked heads on later heads' [CLS] attention",
        alt=f"Graph of {len(strongest)} edges between heads; {first}.",
        caption=f"The {len(strongest)} strongest of {significant} edges (of {len(results.edges)}) whose change of "
        f"attention to shared terms is significant (q < {SIGNIFICANCE}). An edge leads from a masked head "
        "to a later head; its width is the Jensen-Shannon distance of the later head's [CLS] attention "
        f"from the unmasked one (0 to 1; {first}). Orange: more attention to terms that both texts share; blue: less. "
        f"Dots are heads, coloured by their first function as in every figure; a ring is a needed head. "
        f"{results.pairs} pairs of the test split.",
    )


def relay_head_charts(results: Results) -> list[RenderedFigure]:
    """Bars of a relay head's [CLS] attention on each example pair, unmasked and with the term-match heads masked."""
    return [_cls_attention(pair, number) for number, pair in enumerate(results.example_cls_attention)]


def _cls_attention(pair: Mapping[str, Any], number: int) -> RenderedFigure:
    """Two panels: all attention by kind of token on a scale to 100%, and each token of the texts on its own scale."""
    kinds = _attention_by_kind(pair)
    kept = [index for index, kind in enumerate(pair["kinds"]) if kind not in (CLS, SEP)]
    tokens = [shortened(pair["tokens"][index], 14) for index in kept]
    heights = [KIND * len(kinds), TOKEN * len(tokens)]
    figure = blank_figure(7.0, 1.5 + sum(heights))
    above = panel(figure, 1.5, 1.1 + heights[1], 5.2, heights[0])
    below = panel(figure, 1.5, 0.5, 5.2, heights[1])
    for state in STATES:
        _draw_bars(above, [shares[state] for shares in kinds.values()], state, "{:.1f}%")
        _draw_bars(below, [100 * pair[state][index] for index in kept], state)
    _name_rows(above, list(kinds), [False] * len(kinds))
    _name_rows(below, tokens, [pair["kinds"][index] == SHARED for index in kept])
    below.axhline(sum(index < pair["kinds"].index(SEP) for index in kept) - 0.5, color=GREY, lw=0.8)
    above.set(xlim=(0, 112), title="all of it, by kind of token")
    below.set(xlabel="attention of [CLS] (%)", title="each token of the texts")
    above.legend(loc="lower right", bbox_to_anchor=(1.02, 0.98), ncols=2)
    return render_figure(figure, _cls_attention_text(pair, kinds, number))


def _attention_by_kind(pair: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Kind of token -> state -> percent of [CLS]'s attention on it, for the kinds that the pair has."""
    present = {kind: np.array(pair["kinds"]) == kind for kind in (CLS, SEP, SHARED, OTHER_TERM, PUNCTUATION)}
    return {
        kind: {state: 100 * float(np.array(pair[state])[where].sum()) for state in STATES}
        for kind, where in present.items()
        if where.any()
    }


def _draw_bars(axes: Axes, percents: list[float], state: str, label: str = "") -> None:
    """One state's bars, a row each, with their values where there is a format for them."""
    offset, colour, name = STATES[state]
    bars = axes.barh(np.arange(len(percents)) + offset, percents, height=0.38, color=colour, label=name)
    if label:
        axes.bar_label(bars, [label.format(value) for value in percents], padding=2, fontsize=7)


def _name_rows(axes: Axes, names: list[str], bold: list[bool]) -> None:
    axes.set_yticks(np.arange(len(names)), names, fontsize=8)
    for tick, is_bold in zip(axes.get_yticklabels(), bold, strict=True):
        tick.set(weight="bold" if is_bold else "normal", parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _cls_attention_text(pair: Mapping[str, Any], kinds: Mapping[str, Mapping[str, float]], number: int) -> FigureText:
    head = Head.of_row(pair).name
    shares = ", ".join(f"{kind} {share['unmasked']:.1f}% and {share['masked']:.1f}%" for kind, share in kinds.items())
    return FigureText(
        name=f"relay_head_pair_{number}",
        title=f"[CLS] attention of {head}: {shortened(pair['query'], 40)}",
        alt=f"Bars of the attention of [CLS] in {head}, unmasked and masked, by kind of token and on each of "
        f"{len(pair['tokens'])} tokens.",
        caption=f"Attention of [CLS] in {head}, the relay head whose [CLS] row costs most on dev, unmasked and with "
        f"the term-match heads masked: {shares}. The lower scale is that of the texts' tokens alone, the query's above "
        f"the line; those in bold are terms that both texts share. Query: {shortened(pair['query'], 120)}; title: "
        f"{shortened(pair['title'], 160)}.",
    )
