"""Charts of heads masked in groups: bars with intervals, curves over the number of heads masked."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.findings import article, select
from pipeline.findings.verdict import Estimate, percent
from pipeline.report.canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
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

BAR_HEIGHT = 0.28  # inches
LEFT, WIDTH, RIGHT = 2.5, 5.0, 0.8  # inches of labels, bars, values


@dataclass(frozen=True)
class Bar:
    """
    Attributes:
        label: what was masked.
        change: the bar's length as a fraction, or the median of `draws`; NaN where undefined.
        colour: the bar's.
        article: the article's figure, None where it gives none.
        draws: changes of random groups, drawn as dots in place of a bar; None for a bar.
        interval: lower and upper end, drawn as a line; None or NaN for none.
    """

    label: str
    change: float
    colour: str
    article: float | None = None
    draws: np.ndarray | None = None
    interval: tuple[float, float] | None = None


def describe_bars(rows: list[Bar]) -> str:
    """The rows in words, for those who cannot see them."""
    return "; ".join(f"{row.label}: {percent(row.change)}" for row in rows)


def bar_chart(rows: list[Bar], axis: str) -> tuple[Figure, Axes]:
    """The rows from the top down, each with its value in a column at the right."""
    height = BAR_HEIGHT * len(rows)
    figure = blank_figure(LEFT + WIDTH + RIGHT, height + 0.6)
    axes = panel(figure, LEFT, 0.5, WIDTH, height)
    for index, row in enumerate(rows):
        _draw_bar(axes, row, index)
    axes.use_sticky_edges = False  # leave room beside the longest bar and the diamonds
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set(xlabel=axis, ylim=(len(rows) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    return figure, axes


def _draw_bar(axes: Axes, row: Bar, index: int) -> None:
    if row.draws is not None:
        axes.plot(100 * row.draws, [index] * len(row.draws), "o", color=row.colour, ms=4, alpha=0.7)
        axes.plot([100 * row.change], [index], "|", color=INK, ms=12)
    elif np.isfinite(row.change):
        axes.barh(index, 100 * row.change, height=0.65, color=row.colour)
    if row.interval is not None:
        axes.plot(100 * np.array(row.interval), [index, index], color=INK, lw=1)
    if row.article is not None:
        axes.plot([100 * row.article], [index], "D", mfc="white", mec=INK, ms=5, zorder=3)
    axes.text(1.02, index, percent(row.change), transform=axes.get_yaxis_transform(), va="center")


CHANGE_AXIS = "relative accuracy change (%)"
ARTICLE_MARK = "Diamonds are the article's figures, from another model on other data."


def random_share(results: Results) -> RenderedFigure:
    """R1: accuracy against the share of all heads masked at random."""
    draws = select.random_shares(results.groups)
    shares = [100 * share for share in draws]
    lowest, median, highest = ([100 * edge(one) for one in draws.values()] for edge in (np.min, np.median, np.max))
    figure = blank_figure(7.4, 4.0)
    axes = panel(figure, 0.7, 0.5, 6.4, 3.1)
    axes.axvspan(0, 100 * article.SAFE_SHARE, color=GREY, alpha=0.15, lw=0)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.text(
        1, 0.03, "the article:\nno loss here,\na steady\nfall beyond", transform=axes.get_xaxis_transform(), fontsize=8
    )
    axes.fill_between(shares, lowest, highest, color=BLUE, alpha=0.15, lw=0, label="lowest to highest draw")
    for share, one in zip(shares, draws.values(), strict=True):
        axes.plot([share] * len(one), 100 * one, ".", color=BLUE, alpha=0.5, ms=5)
    axes.plot(shares, median, "o-", color=BLUE, ms=4, label="median")
    axes.set(xlabel="share of all heads masked (%)", ylabel=CHANGE_AXIS, xlim=(0, 100))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return render_figure(figure, _random_share_words(results, draws))


def _random_share_words(results: Results, draws: dict[float, np.ndarray]) -> FigureText:
    medians = ", ".join(f"{share:.0%}: {100 * np.median(one):.1f}%" for share, one in draws.items())
    return FigureText(
        name="random_share",
        title="Random shares of the heads masked",
        alt=f"Curve of the median accuracy change by share of heads masked: {medians}.",
        caption=f"Change of accuracy when a random share of all heads is masked, {results.unit}. Each dot is one "
        "random draw, the line their median, the shade their range. The grey strip is where the article saw no loss.",
    )


def layers_and_halves(results: Results) -> RenderedFigure:
    """R2: each layer masked whole, and the lower and upper half of them where there are two layers or more."""
    layers, halves = (select.estimates(results.groups, experiment) for experiment in ("layer", "half"))
    theirs = {"lower": article.LOWER_HALF}
    rows = [_bar(f"layer {group}", change, BLUE) for group, change in layers.items()]
    rows += [_bar(f"{half} half", change, ORANGE, theirs.get(half)) for half, change in halves.items()]
    figure, _ = bar_chart(rows, CHANGE_AXIS)
    words = FigureText(
        name="layers_and_halves",
        title="Whole layers masked, and halves of them",
        alt=f"Bars of the accuracy change. {describe_bars(rows)}.",
        caption=f"Change of accuracy when all heads of the named layers are masked, {results.unit}. Layers count from "
        f"0; the longer a bar to the left, the more is lost. Thin lines are 95% intervals. {ARTICLE_MARK}",
    )
    return render_figure(figure, words)


def function_bars(results: Results) -> RenderedFigure:
    """F1, F2, F3: heads of one function against random groups, and the lower half with and without them."""
    random = select.random_k(results.groups)
    rows = [*_random_bars("random heads", random, article.RANDOM_FIVE), *_function_rows(results.groups)]
    rows += [*_user_bars(results.groups), *_lower_bars(results.groups)]
    figure, axes = bar_chart(rows, CHANGE_AXIS)
    if len(random):
        axes.axvspan(100 * random.min(), 100 * random.max(), color=GREY, alpha=0.3, lw=0, zorder=0)
    words = FigureText(
        name="functions",
        title="Heads that share a function masked together",
        alt=f"Bars of the accuracy change. {describe_bars(rows)}.",
        caption=f"Change of accuracy when the heads that score highest on a function are masked together, "
        f"{results.unit}. The heads are chosen on the dev split. Grey dots and the grey strip are random groups of as "
        "many heads; those below a function have as many in each layer as it has. A bar that ends among its dots "
        f"does nothing special. Thin lines are 95% intervals. {ARTICLE_MARK}",
    )
    return render_figure(figure, words)


def _random_bars(what: str, draws: np.ndarray, theirs: float | None = None) -> list[Bar]:
    if not len(draws):
        return []
    return [Bar(f"{what} ({len(draws)} draws)", float(np.median(draws)), GREY, theirs, draws)]


def _function_rows(groups: pd.DataFrame) -> list[Bar]:
    """Each function's best heads, and the random groups matched to them where there are any."""
    theirs = {"term_match": article.TERM_MATCH_FIVE}
    matched = select.select_rows(groups, "layer_matched")
    rows = []
    for group, change in select.estimates(groups, "function").items():
        rows.append(_bar(group, change, BLUE, theirs.get(group)))
        draws = matched.loc[matched["group"] == group, select.CHANGE].dropna().to_numpy(dtype=float)
        rows += _random_bars("same layers, random", draws)
    return rows


def _bar(label: str, change: Estimate, colour: str, theirs: float | None = None) -> Bar:
    return Bar(label, change.value, colour, theirs, interval=(change.low, change.high))


def _user_bars(groups: pd.DataFrame) -> list[Bar]:
    masked = select.estimates(groups, "user")
    return [_bar(f"own: {shortened(group, 24)}", change, INK) for group, change in masked.items()]


def _lower_bars(groups: pd.DataFrame) -> list[Bar]:
    """The lower half of the layers, then the same except each function's heads; nothing of a single layer."""
    theirs = {"term_match": article.LOWER_HALF_EXCEPT_FIVE}
    halves, spared = (select.estimates(groups, experiment) for experiment in ("half", "lower_except"))
    return [
        *(_bar("lower half", halves[g], ORANGE, article.LOWER_HALF) for g in ("lower",) if g in halves),
        *(_bar(f"lower half except {g}", change, GREEN, theirs.get(g)) for g, change in spared.items()),
    ]


TOP_K_MARKERS = "os^"


def top_k(results: Results) -> RenderedFigure:
    """Relative accuracy change against the number of heads masked, a line a function, its interval as a band."""
    masked = select.select_rows(results.groups, "top_k").dropna(subset=[select.CHANGE])
    figure = blank_figure(7.4, 3.6)
    axes = panel(figure, 0.7, 0.5, 6.4, 2.7)
    axes.axhline(0, color=GREY, lw=0.8)
    functions = list(dict.fromkeys(masked["group"]))
    for name, colour, marker in zip(functions, KINDS, TOP_K_MARKERS, strict=False):
        own = masked[masked["group"] == name]
        low, high = (100 * own[f"{select.CHANGE}_{end}"] for end in ("low", "high"))
        axes.fill_between(own["heads_masked"], low, high, color=colour, alpha=0.15, lw=0)
        axes.plot(own["heads_masked"], 100 * own[select.CHANGE], f"{marker}-", color=colour, ms=4, label=name)
    axes.set(xlabel="heads masked, the best of the function first", ylabel="relative accuracy change (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=3)
    return render_figure(figure, _top_k_text(results, masked))


def _top_k_text(results: Results, masked: pd.DataFrame) -> FigureText:
    ends = masked.sort_values("heads_masked").groupby("group", sort=False).tail(1)
    at_most = "; ".join(
        f"{group}, {count} heads: {percent(change)}"
        for group, count, change in zip(ends["group"], ends["heads_masked"], ends[select.CHANGE], strict=True)
    )
    return FigureText(
        name="top_k",
        title="One head after another of a function",
        alt=f"Lines of the accuracy change by number of heads masked. {at_most}.",
        caption=f"Change of accuracy when a function's best heads are masked, {results.unit}; the heads are ranked on "
        "the dev split. The shades are 95% intervals.",
    )


LEAST_FIRST, MOST_FIRST, RANDOM = "least important first", "most important first", "random order"
REMOVAL_STYLES = {LEAST_FIRST: ("o-", BLUE), MOST_FIRST: ("s-", ORANGE)}
REMOVAL_AXIS = "relative accuracy change (%)"


def removal_curves(curves: pd.DataFrame, unit: str) -> RenderedFigure:
    """Accuracy against the share of heads removed, a line an order.

    Args:
        curves: order (LEAST_FIRST, MOST_FIRST or RANDOM), share (of all heads, 0 to 1), draw (0 but for RANDOM) and
            change (relative accuracy change, a fraction).
        unit: what the change is measured in, and on what, as `Results.unit`.
    """
    return render_figure(removal_chart(curves), _removal_text(curves, unit))


def removal_chart(curves: pd.DataFrame) -> Figure:
    """The figure of `removal_curves`."""
    figure = blank_figure(7.4, 4.2)
    axes = panel(figure, 0.7, 0.5, 6.4, 3.3)
    axes.axhline(0, color=GREY, lw=0.8)
    for order, (line, colour) in REMOVAL_STYLES.items():
        medians = 100 * _by_share(curves, order)["median"]
        if len(medians):
            axes.plot(medians.index * 100, medians, line, color=colour, ms=4, label=order)
    _draw_random_range(axes, 100 * _by_share(curves, RANDOM))
    axes.set(xlabel="share of all heads removed (%)", ylabel=REMOVAL_AXIS, xlim=(-1, 101))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=4, columnspacing=1.2, handlelength=1.6)
    return figure


def _draw_random_range(axes: Axes, changes: pd.DataFrame) -> None:
    """The median of random orders, over a band from the lowest to the highest draw."""
    if changes.empty:
        return
    shares = changes.index * 100
    axes.plot(shares, changes["median"], "--", color=INK, label=f"{RANDOM}, median")
    axes.fill_between(
        shares, changes["min"], changes["max"], color=GREY, alpha=0.3, lw=0, label="lowest to highest draw"
    )


def _by_share(curves: pd.DataFrame, order: str) -> pd.DataFrame:
    """The order's changes by rising share: min, median and max over draws; undefined ones left out."""
    rows = curves[curves["order"] == order].dropna(subset=["change"])
    return rows.groupby("share")["change"].agg(["min", "median", "max"])


def _removal_text(curves: pd.DataFrame, unit: str) -> FigureText:
    draws = curves.loc[curves["order"] == RANDOM, "draw"].nunique()
    return FigureText(
        name="removal_curves",
        title="Heads removed one after another",
        alt=f"Curves of the accuracy change by share of heads removed. {_describe_removal(curves)}.",
        caption=f"Change of accuracy when a growing share of all heads is removed, {unit}. The wider the two solid "
        "lines lie apart, the better the importance tells heads that matter from heads that do not; an importance "
        f"worth nothing runs within the grey band, which spans {draws} random orders.",
    )


def _describe_removal(curves: pd.DataFrame) -> str:
    """The change of each order at the share nearest to half of the heads."""
    parts = []
    for order in (*REMOVAL_STYLES, RANDOM):
        medians = _by_share(curves, order)["median"]
        if len(medians):
            share = min(medians.index, key=lambda share: abs(share - 0.5))
            parts.append(f"{order}: {percent(float(medians[share]))} with {share:.0%} removed")
    return "; ".join(parts) or "Nothing is defined"
