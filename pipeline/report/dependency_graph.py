"""How high heads read low ones: the layered graph of edges, and one reader's attention over a few pairs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.report.canvas import (
    BLUE,
    GREY,
    KINDS,
    ORANGE,
    FigureText,
    RenderedFigure,
    blank_figure,
    panel,
    render_figure,
)
from pipeline.report.results import Results
from pipeline.report.text import shortened

STRONGEST = 30  # edges drawn
SIGNIFICANT = 0.05
COLUMN, ROW = 0.55, 0.85  # inches of a head, of a layer
TOKEN = 0.21  # inches of a token's row


def dependency_graph(results: Results) -> RenderedFigure:
    """Heads as nodes by layer, an arc from a masked head to each later head whose [CLS] attention it changes most."""
    layers, heads = results.shape
    told = results.edges[results.edges["q"] < SIGNIFICANT]
    drawn = told.sort_values(["js", "source_layer", "source_head"], ascending=[False, True, True]).head(STRONGEST)
    figure = blank_figure(0.7 + COLUMN * heads + 2.0, 0.6 + ROW * layers + 0.2)
    axes = panel(figure, 0.7, 0.5, COLUMN * heads, ROW * layers)
    widest = float(drawn["js"].max()) if len(drawn) else 1.0
    ends = ["target_head", "target_layer", "source_head", "source_layer", "js", "match_share_change"]
    for to_head, to_layer, head, layer, js, moved in drawn[ends].to_numpy(dtype=float):
        axes.annotate(
            "",
            (to_head, to_layer),
            (head, layer),
            arrowprops={
                "arrowstyle": "-",
                "lw": 0.3 + 3 * js / widest,
                "color": ORANGE if moved > 0 else BLUE,
                "alpha": 0.7,
                "connectionstyle": "arc3,rad=0.08",
            },
        )
    _nodes(axes, results.places)
    axes.set(xlabel="head (from 0)", ylabel="layer (from 0)", xlim=(-0.6, heads - 0.4), ylim=(-0.4, layers - 0.6))
    axes.set_xticks(range(heads))
    axes.set_yticks(range(layers))
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, handletextpad=0.3)
    return render_figure(figure, _graph_words(results, drawn, len(told)))


def _nodes(axes, places: pd.DataFrame) -> None:
    """All heads, in the colour of their first function."""
    none = places[places["label"].isna()]
    axes.scatter(none["head"], none["layer"], s=50, color=GREY, lw=0, label="no function", zorder=3)
    for index, label in enumerate(name for name in FUNCTIONS if name in set(places["label"])):
        own = places[places["label"] == label]
        marker, colour = "osD^v"[index // len(KINDS) % 5], KINDS[index % len(KINDS)]
        name = shortened(str(label), 22)
        axes.scatter(own["head"], own["layer"], s=50, color=colour, marker=marker, lw=0, label=name, zorder=3)


def _graph_words(results: Results, drawn: pd.DataFrame, told: int) -> FigureText:
    first = "no edge is told from chance"
    if len(drawn):
        row = drawn.iloc[0]
        first = (
            f"the strongest goes from layer {row['source_layer']:.0f} head {row['source_head']:.0f} to layer "
            f"{row['target_layer']:.0f} head {row['target_head']:.0f} (distance {row['js']:.2f})"
        )
    return FigureText(
        name="dependency_graph",
        title="Which heads change what later heads read",
        alt=f"Graph of {len(drawn)} edges between heads; {first}.",
        caption=f"The {len(drawn)} strongest of {told} edges (of {len(results.edges)}) whose change of attention to "
        f"shared terms is told from chance (q < {SIGNIFICANT}). An edge goes up from a head that is masked alone to a "
        "later head; its width is the Jensen-Shannon distance of the later head's [CLS] attention from the unmasked "
        f"one (0 to 1; {first}). Orange: more attention to terms that both texts share; blue: less. Dots are heads, "
        f"coloured by their first function. {results.pairs} pairs of the test split.",
    )


def relay_head_charts(results: Results) -> list[RenderedFigure]:
    """One reader's [CLS] attention over each shown pair, unmasked and without the term-match heads."""
    return [_pair(pair, number) for number, pair in enumerate(results.shown)]


def _pair(pair: Mapping[str, Any], number: int) -> RenderedFigure:
    tokens = [shortened(token, 14) for token in pair["tokens"][1:]]
    (itself, *unmasked), (itself_masked, *masked) = (100 * np.array(pair[state]) for state in ("unmasked", "masked"))
    place = np.arange(len(tokens))
    figure = blank_figure(7.0, 0.9 + TOKEN * len(tokens))
    axes = panel(figure, 1.5, 0.5, 5.2, TOKEN * len(tokens))
    axes.barh(place - 0.2, unmasked, height=0.38, color=BLUE, label="unmasked")
    axes.barh(place + 0.2, masked, height=0.38, color=ORANGE, label="term-match heads masked")
    axes.set_yticks(place, tokens, fontsize=8)
    for label, matched in zip(axes.get_yticklabels(), pair["matched"][1:], strict=True):
        label.set(weight="bold" if matched else "normal", parse_math=False)
    axes.set(xlabel="attention of [CLS] (%)", ylim=(len(tokens) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=2)
    head = f"layer {pair['layer']} head {pair['head']}"
    return render_figure(
        figure,
        FigureText(
            name=f"reader_pair_{number}",
            title=f"What {head} reads: {shortened(pair['query'], 40)}",
            alt=f"Bars of the attention of [CLS] to {len(tokens)} tokens in {head}, unmasked and masked.",
            caption=f"Attention of [CLS] in {head}, the reader that dev needs most, with nothing masked and with the "
            f"term-match heads masked; its attention to itself, {itself:.0f}% and {itself_masked:.0f}%, is left out. "
            "Tokens in bold are terms that both texts share. Query: "
            f"{shortened(pair['query'], 120)}; title: {shortened(pair['title'], 160)}.",
        ),
    )
