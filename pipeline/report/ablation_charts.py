"""Charts of group ablations: bars with intervals, and curves over the share or the number of heads masked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.findings import article, select
from pipeline.findings.verdict import percent
from pipeline.report import canvas
from pipeline.report.canvas import FigureText, RenderedFigure, render_figure
from pipeline.report.colours import BLUE, GREY, INK, ORANGE, function_colour
from pipeline.report.results import Results
from pipeline.report.text import shortened
from pipeline.stats.measure_sets import GRADER, MeasureSet

BAR_HEIGHT = 0.28  # inches
LEFT, WIDTH, RIGHT = 2.5, 5.0, 0.8  # inches of labels, bars, values
BELOW = 0.8  # inches of the axis and the legend below the bars
LABEL = 20  # columns of a group's name
ARTICLE_MARK = "Diamonds are the article's figures, from another model on other data."
CROSS, DOT = "x", "o"  # of a random group that has collapsed, and of another


def _marks(results: Results) -> str:
    """What hatched bars, crosses and diamonds say."""
    marked = results.nothing_to_lose or f"Hatched bars and crosses have {_collapsed(results)}"
    line = f"; the dotted line is the {results.headline.label} of the {results.words.constant}"
    article_mark = f" {ARTICLE_MARK}" if results.measures is GRADER else ""
    return f"{marked}{'' if np.isnan(results.constant_change) else line}.{article_mark}"


def _collapsed(results: Results) -> str:
    """What it is to have collapsed."""
    return f"collapsed: by {results.words.collapse} they are {results.collapsed_from}"


@dataclass(frozen=True)
class Bar:
    """A bar with its interval, or the dots of random groups in place of one; changes are fractions."""

    label: str  # the heads masked
    change: float  # the bar's length, or the median of `random`; NaN where undefined
    colour: str
    article: float | None = None  # the article's figure
    random: pd.DataFrame | None = None  # of random groups, see `random_changes`
    interval: tuple[float, float] | None = None
    is_collapsed: bool = False


def layers_and_halves(results: Results) -> RenderedFigure:
    """R2: bars of whole layers masked, and of the lower and upper half where there are two layers or more."""
    layers, halves = (select.select_rows(results.groups, group_type) for group_type in ("layer", "half"))
    bars = _bars(results, layers, "layer {}", BLUE)
    bars += _bars(results, halves, "{} half", ORANGE, {"lower": article.LOWER_HALF})
    figure, axes = bar_chart(bars, results)
    canvas.lower_legend(axes, BELOW)
    text = FigureText(
        name="layers_and_halves",
        title="Layers and halves masked",
        alt=f"Bars of the {results.headline.label} change. {describe_bars(bars)}.",
        caption=f"Change of {results.headline.label} when all heads of the named layers are masked, {results.unit}. "
        f"Layers count from 0; bars to the left are losses. Thin lines are 95% intervals. {_marks(results)}",
    )
    return render_figure(figure, text)


def function_bars(results: Results) -> RenderedFigure:
    """F1, F2, F3: bars of functional groups and random groups masked, and of the lower half with and without them."""
    random = random_changes(select.select_rows(results.groups, "random_k"), results)
    theirs = article.RANDOM_FIVE if results.measures is GRADER else None
    bars = [*_random_bar("random heads", random, theirs), *_function_bars(results)]
    bars += _bars(results, select.select_rows(results.groups, "user"), "user group: {}", INK) + _lower_bars(results)
    figure, axes = bar_chart(bars, results)
    if len(random):
        low, high = 100 * random["change"].min(), 100 * random["change"].max()
        axes.axvspan(low, high, color=GREY, alpha=0.3, lw=0, zorder=0, label="range of random heads")
    canvas.lower_legend(axes, BELOW)
    text = FigureText(
        name="functions",
        title="Heads of a function masked",
        alt=f"Bars of the {results.headline.label} change. {describe_bars(bars)}.",
        caption=f"Change of {results.headline.label} when the heads that score highest on a function are masked "
        f"together, {results.unit}. The heads are chosen on the dev split, and each function has its colour. Grey dots "
        "and the grey strip are random groups of as many heads; those below a function are layer-matched: as many in "
        "each layer as the function's. A bar within the range of its dots costs no more than random heads. Thin lines "
        f"are 95% intervals. {_marks(results)}",
    )
    return render_figure(figure, text)


def _bars(
    results: Results,
    rows: pd.DataFrame,
    label: str,
    colour: str | None = None,
    theirs: Mapping[str, float] | None = None,
) -> list[Bar]:
    """Bars of groups, rows of groups.csv; `label` with {} for the group's name, `theirs` as `Bar.article` by group.

    Without a colour, each group has that of its function.
    The article's figures are changes of accuracy, and stand beside a grader's alone.
    """
    change, collapsed = results.headline.change, results.collapsed(rows)
    articles = (theirs or {}) if results.measures is GRADER else {}
    return [
        Bar(
            label.format(shortened(str(row["group"]), LABEL)),
            float(row[change]),
            colour or function_colour(str(row["group"])),
            articles.get(str(row["group"])),
            interval=(float(row[f"{change}_low"]), float(row[f"{change}_high"])),
            is_collapsed=bool(has_collapsed),
        )
        for (_, row), has_collapsed in zip(rows.iterrows(), collapsed, strict=True)
    ]


def random_changes(rows: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Defined headline changes of random groups, and whether each has collapsed: change, is_collapsed."""
    changes = pd.DataFrame({"change": rows[results.headline.change], "is_collapsed": results.collapsed(rows)})
    return changes.dropna(subset=["change"])


def _random_bar(label: str, random: pd.DataFrame, theirs: float | None = None) -> list[Bar]:
    """Bar of random groups, none without a group."""
    name = f"{label} ({len(random)} groups)"
    return [Bar(name, float(random["change"].median()), GREY, theirs, random)] if len(random) else []


def _function_bars(results: Results) -> list[Bar]:
    """Each function's best heads, and the random groups matched to them where there are any."""
    functions, matched = (select.select_rows(results.groups, kind) for kind in ("function", "layer_matched"))
    bars = []
    for bar in _bars(results, functions, "{}", theirs={"term_match": article.TERM_MATCH_FIVE}):
        random = random_changes(matched[matched["group"] == bar.label], results)
        bars += [bar, *_random_bar("as many, same layers", random)]
    return bars


def _lower_bars(results: Results) -> list[Bar]:
    """The lower half of the layers, then the same except each function's heads; nothing of a single layer."""
    halves, spared = (select.select_rows(results.groups, kind) for kind in ("half", "lower_except"))
    lower = halves[halves["group"] == "lower"]
    bars = _bars(results, lower, "{} half", ORANGE, {"lower": article.LOWER_HALF})
    spared_five = {"term_match": article.LOWER_HALF_EXCEPT_FIVE}
    return bars + _bars(results, spared, "lower half except {}", theirs=spared_five)


def describe_bars(bars: list[Bar]) -> str:
    """Alternative text of a bar chart."""
    return "; ".join(f"{bar.label}: {percent(bar.change)}" for bar in bars)


def bar_chart(bars: list[Bar], results: Results) -> tuple[Figure, Axes]:
    """Bar chart from the top down, each bar's value in a column at the right.

    A dotted line is the level of the constant model, where the model is better than that one.
    """
    height = BAR_HEIGHT * len(bars)
    figure = canvas.blank_figure(LEFT + WIDTH + RIGHT, BELOW + height + 0.3)
    axes = canvas.panel(figure, LEFT, BELOW, WIDTH, height)
    for index, bar in enumerate(bars):
        _draw_bar(axes, bar, index)
    axes.use_sticky_edges = False  # leave room next to the longest bar and the diamonds
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.set(xlabel=results.words.change_axis, ylim=(len(bars) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    level = 100 * results.constant_change
    if np.isfinite(level):
        axes.axvline(level, color=INK, lw=1, ls=":", zorder=0)
        top = axes.get_xaxis_transform()
        axes.text(level, 1.01, results.words.constant, transform=top, ha="center", va="bottom", fontsize=8)
    return figure, axes


def _draw_bar(axes: Axes, bar: Bar, index: int) -> None:
    if bar.random is not None:
        for marker, groups in _by_marker(bar.random):
            label = "random groups" if marker == DOT else "collapsed"
            axes.plot(100 * groups, [index] * len(groups), marker, color=bar.colour, ms=4, alpha=0.7, label=label)
        axes.plot([100 * bar.change], [index], "|", color=INK, ms=12)
    elif np.isfinite(bar.change):
        hatch: dict[str, Any] = {"hatch": "////", "ec": "white", "lw": 0} if bar.is_collapsed else {}
        axes.barh(index, 100 * bar.change, height=0.65, color=bar.colour, **hatch)
    if bar.interval is not None:
        axes.plot(100 * np.array(bar.interval), [index, index], color=INK, lw=1, label="95% interval")
    if bar.article is not None:
        axes.plot([100 * bar.article], [index], "D", mfc="white", mec=INK, ms=5, zorder=3, label="the article")
    axes.text(1.02, index, percent(bar.change), transform=axes.get_yaxis_transform(), va="center")


def _by_marker(random: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """CROSS and the changes of the groups that have collapsed, DOT and those of the others."""
    return [
        (marker, random.loc[random["is_collapsed"] == collapsed, "change"].to_numpy(dtype=float))
        for marker, collapsed in ((DOT, False), (CROSS, True))
    ]


def random_shares(results: Results) -> dict[float, pd.DataFrame]:
    """Rising share of all heads masked, in percent -> `random_changes` of its groups; shares without any left out."""
    masked = select.select_rows(results.groups, "random_share").groupby("group")
    changes = {100 * float(str(share)): random_changes(rows, results) for share, rows in masked}
    return {share: random for share, random in sorted(changes.items()) if len(random)}


def random_share(results: Results) -> RenderedFigure:
    """R1: curve of the headline change over the share of all heads masked at random."""
    shares = random_shares(results)
    lowest, median, highest = (
        [100 * float(edge(random["change"])) for random in shares.values()] for edge in (np.min, np.median, np.max)
    )
    figure, axes = canvas.change_panel(4.0, "share of all heads masked (%)", results.words.change_axis)
    axes.axvspan(0, 100 * article.SAFE_SHARE, color=GREY, alpha=0.15, lw=0)
    note = f"article: no loss up to {article.SAFE_SHARE:.0%}"
    axes.text(0, 1.02, note, transform=axes.get_xaxis_transform(), fontsize=8)
    axes.fill_between(list(shares), lowest, highest, color=BLUE, alpha=0.15, lw=0, label="range of random groups")
    for share, random in shares.items():
        for marker, groups in _by_marker(random):
            axes.plot([share] * len(groups), 100 * groups, marker, color=BLUE, alpha=0.5, ms=3 if marker == DOT else 5)
    axes.plot(list(shares), median, "o-", color=BLUE, ms=4, label="median")
    _draw_constant_model(axes, results)
    axes.set_xlim(0, 100)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    medians = ", ".join(f"{share:.0f}%: {change:.1f}%" for share, change in zip(shares, median, strict=True))
    text = FigureText(
        name="random_share",
        title="Random heads masked",
        alt=f"Curve of the median {results.headline.label} change by share of heads masked: {medians}.",
        caption=f"Change of {results.headline.label} when a random share of all heads is masked, {results.unit}. Each "
        "dot is one random group, the line their median, the shade their range. Grey: shares at which the article "
        f"reports no loss. {results.nothing_to_lose or f'Crosses are groups that have {_collapsed(results)}'}.",
    )
    return render_figure(figure, text)


def _draw_constant_model(axes: Axes, results: Results) -> None:
    """Draw the level of the constant model across a panel of curves; nothing where it is undefined."""
    if np.isfinite(results.constant_change):
        axes.axhline(100 * results.constant_change, color=INK, lw=1, ls=":", zorder=0, label=results.words.constant)


TOP_K_MARKERS = "os^"


def top_k(results: Results) -> RenderedFigure:
    """Curves of the headline change over the number of heads masked, a line per function, with interval bands."""
    change, label = results.headline.change, results.headline.label
    masked = select.select_rows(results.groups, "top_k").dropna(subset=[change])
    figure, axes = canvas.change_panel(3.6, "heads masked, in order of score", results.words.change_axis)
    functions = masked.groupby("group", sort=False)
    for (name, rows), marker in zip(functions, TOP_K_MARKERS, strict=False):
        colour = function_colour(str(name))
        low, high = (100 * rows[f"{change}_{end}"] for end in ("low", "high"))
        axes.fill_between(rows["heads_masked"], low, high, color=colour, alpha=0.15, lw=0)
        axes.plot(rows["heads_masked"], 100 * rows[change], f"{marker}-", color=colour, ms=4, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=3)
    most = masked.sort_values("heads_masked").groupby("group", sort=False).tail(1)
    ends = zip(most["group"], most["heads_masked"], most[change], strict=True)
    at_most = [f"{function}, {heads} heads: {percent(value)}" for function, heads, value in ends]
    text = FigureText(
        name="top_k",
        title="Best heads of a function masked, by number",
        alt=f"Lines of the {label} change by number of heads masked. {'; '.join(at_most)}.",
        caption=f"Change of {label} when a function's best heads are masked, {results.unit}; the heads are ranked on "
        "the dev split. The shades are 95% intervals.",
    )
    return render_figure(figure, text)


LEAST_FIRST, MOST_FIRST, RANDOM = "least important first", "most important first", "random order"
ORDERS = {"least_important_first": LEAST_FIRST, "most_important_first": MOST_FIRST}
REMOVAL_STYLES = {LEAST_FIRST: ("o-", BLUE), MOST_FIRST: ("s-", ORANGE)}


def removal_curves(results: Results) -> RenderedFigure:
    """Curves of the headline change over the share of heads removed by importance and at random."""
    changes = removal_changes(results.groups, results.measures)
    figure = removal_chart(changes, results.words.change_axis)
    return render_figure(figure, removal_text(changes, results.headline.label, results.unit))


def removal_changes(groups: pd.DataFrame, measures: MeasureSet) -> pd.DataFrame:
    """Changes by order: order (LEAST_FIRST, MOST_FIRST or RANDOM), share (of all heads, 0 to 1), replicate, change."""
    heads = float(select.select_rows(groups, "layer")["heads_masked"].sum())
    ordered = select.select_rows(groups, "removal").assign(order=lambda rows: rows["group"].map(ORDERS))
    random = select.select_rows(groups, "random_share").assign(order=RANDOM)
    changes = pd.concat([ordered, random], ignore_index=True).rename(columns={measures.headline.change: "change"})
    return changes.assign(share=changes["heads_masked"] / heads)[["order", "share", "replicate", "change"]].dropna()


def removal_chart(changes: pd.DataFrame, change_axis: str) -> Figure:
    """Line chart of `removal_changes`, a line per order."""
    figure, axes = canvas.change_panel(4.2, "share of all heads removed (%)", change_axis)
    for order, (line, colour) in REMOVAL_STYLES.items():
        medians = _by_share(changes, order)["median"]
        if len(medians):
            axes.plot(medians.index, medians, line, color=colour, ms=4, label=order)
    random = _by_share(changes, RANDOM)
    if len(random):
        axes.plot(random.index, random["median"], "--", color=INK, label=f"{RANDOM}, median")
        low, high = random["min"], random["max"]
        axes.fill_between(random.index, low, high, color=GREY, alpha=0.3, lw=0, label="range of random groups")
    axes.set_xlim(-1, 101)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=4, columnspacing=1.2, handlelength=1.6)
    return figure


def _by_share(changes: pd.DataFrame, order: str) -> pd.DataFrame:
    """The order's changes in percent by rising share in percent: min, median and max; undefined ones left out."""
    rows = changes[changes["order"] == order].dropna(subset=["change"])
    return (100 * rows["change"]).groupby(100 * rows["share"]).agg(["min", "median", "max"])


def removal_text(changes: pd.DataFrame, measure: str, unit: str) -> FigureText:
    random_orders = changes.loc[changes["order"] == RANDOM, "replicate"].nunique()
    return FigureText(
        name="removal_curves",
        title="Heads removed by importance",
        alt=f"Curves of the {measure} change by share of heads removed. {_describe_removal(changes)}.",
        caption=f"Change of {measure} when a growing share of all heads is removed, {unit}. A useful "
        "importance separates the two solid lines; an uninformative one stays within the grey band, the range of "
        f"{random_orders} random orders.",
    )


def _describe_removal(changes: pd.DataFrame) -> str:
    """The change of each order at the share nearest to half of the heads."""
    parts = []
    for order in (*REMOVAL_STYLES, RANDOM):
        medians = _by_share(changes, order)["median"]
        if len(medians):
            share = min(medians.index, key=lambda share: abs(share - 50))
            parts.append(f"{order}: {percent(float(medians[share]) / 100)} with {share:.0f}% removed")
    return "; ".join(parts) or "No change is defined"
