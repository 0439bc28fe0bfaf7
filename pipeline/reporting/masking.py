"""What masking groups of heads does: random shares, layers and halves, and heads that share a function."""

import numpy as np
import pandas as pd

from pipeline.analysis import article, readings
from pipeline.analysis.verdicts import Estimate
from pipeline.reporting import style
from pipeline.reporting.bars import Row, chart, described
from pipeline.reporting.picture import Picture, Words, canvas, panel, picture
from pipeline.reporting.results import Results
from pipeline.reporting.text import shortened

AXIS = "relative accuracy change (%)"
ARTICLE_MARK = "Diamonds are the article's figures, from another model on other data."


def random_share(results: Results) -> Picture:
    """R1: accuracy against the share of all heads masked at random."""
    draws = readings.random_shares(results.groups)
    shares = [100 * share for share in draws]
    lowest, median, highest = ([100 * edge(one) for one in draws.values()] for edge in (np.min, np.median, np.max))
    figure = canvas(7.4, 4.0)
    axes = panel(figure, 0.7, 0.5, 6.4, 3.1)
    axes.axvspan(0, 100 * article.SAFE_SHARE, color=style.GREY, alpha=0.15, lw=0)
    axes.axhline(0, color=style.GREY, lw=0.8)
    axes.text(
        1, 0.03, "the article:\nno loss here,\na steady\nfall beyond", transform=axes.get_xaxis_transform(), fontsize=8
    )
    axes.fill_between(shares, lowest, highest, color=style.BLUE, alpha=0.15, lw=0, label="lowest to highest draw")
    for share, one in zip(shares, draws.values(), strict=True):
        axes.plot([share] * len(one), 100 * one, ".", color=style.BLUE, alpha=0.5, ms=5)
    axes.plot(shares, median, "o-", color=style.BLUE, ms=4, label="median")
    axes.set(xlabel="share of all heads masked (%)", ylabel=AXIS, xlim=(0, 100))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return picture(figure, _random_share_words(results, draws))


def _random_share_words(results: Results, draws: dict[float, np.ndarray]) -> Words:
    medians = ", ".join(f"{share:.0%}: {100 * np.median(one):.1f}%" for share, one in draws.items())
    return Words(
        name="random_share",
        title="Random shares of the heads masked",
        alt=f"Curve of the median accuracy change by share of heads masked: {medians}.",
        caption=f"Change of accuracy when a random share of all heads is masked, {results.unit}. Each dot is one "
        "random draw, the line their median, the shade their range. The grey strip is where the article saw no loss.",
    )


def layers_and_halves(results: Results) -> Picture:
    """R2: each layer masked whole, and the lower and upper half of them where there are two layers or more."""
    layers, halves = (readings.estimates(results.groups, experiment) for experiment in ("layer", "half"))
    theirs = {"lower": article.LOWER_HALF}
    rows = [_bar(f"layer {group}", change, style.BLUE) for group, change in layers.items()]
    rows += [_bar(f"{half} half", change, style.ORANGE, theirs.get(half)) for half, change in halves.items()]
    figure, _ = chart(rows, AXIS)
    words = Words(
        name="layers_and_halves",
        title="Whole layers masked, and halves of them",
        alt=f"Bars of the accuracy change. {described(rows)}.",
        caption=f"Change of accuracy when all heads of the named layers are masked, {results.unit}. Layers count from "
        f"0; the longer a bar to the left, the more is lost. Thin lines are 95% intervals. {ARTICLE_MARK}",
    )
    return picture(figure, words)


def functions(results: Results) -> Picture:
    """F1, F2, F3: heads of one function against random groups, and the lower half with and without them."""
    random = readings.random_k(results.groups)
    rows = [*_random("random heads", random, article.RANDOM_FIVE), *_of_functions(results.groups)]
    rows += [*_own(results.groups), *_lower(results.groups)]
    figure, axes = chart(rows, AXIS)
    if len(random):
        axes.axvspan(100 * random.min(), 100 * random.max(), color=style.GREY, alpha=0.3, lw=0, zorder=0)
    words = Words(
        name="functions",
        title="Heads that share a function masked together",
        alt=f"Bars of the accuracy change. {described(rows)}.",
        caption=f"Change of accuracy when the heads that score highest on a function are masked together, "
        f"{results.unit}. The heads are chosen on the dev split. Grey dots and the grey strip are random groups of as "
        "many heads; those below a function have as many in each layer as it has. A bar that ends among its dots "
        f"does nothing special. Thin lines are 95% intervals. {ARTICLE_MARK}",
    )
    return picture(figure, words)


def _random(what: str, draws: np.ndarray, theirs: float | None = None) -> list[Row]:
    if not len(draws):
        return []
    return [Row(f"{what} ({len(draws)} draws)", float(np.median(draws)), style.GREY, theirs, draws)]


def _of_functions(groups: pd.DataFrame) -> list[Row]:
    """Each function's best heads, and the random groups matched to them where there are any."""
    theirs = {"term_match": article.TERM_MATCH_FIVE}
    matched = readings.rows(groups, "layer_matched")
    rows = []
    for group, change in readings.estimates(groups, "function").items():
        rows.append(_bar(group, change, style.BLUE, theirs.get(group)))
        draws = matched.loc[matched["group"] == group, readings.CHANGE].dropna().to_numpy(dtype=float)
        rows += _random("same layers, random", draws)
    return rows


def _bar(label: str, change: Estimate, colour: str, theirs: float | None = None) -> Row:
    return Row(label, change.value, colour, theirs, interval=(change.low, change.high))


def _own(groups: pd.DataFrame) -> list[Row]:
    masked = readings.estimates(groups, "user")
    return [_bar(f"own: {shortened(group, 24)}", change, style.INK) for group, change in masked.items()]


def _lower(groups: pd.DataFrame) -> list[Row]:
    """The lower half of the layers, then the same except each function's heads; nothing of a single layer."""
    theirs = {"term_match": article.LOWER_HALF_EXCEPT_FIVE}
    halves, spared = (readings.estimates(groups, experiment) for experiment in ("half", "lower_except"))
    return [
        *(_bar("lower half", halves[g], style.ORANGE, article.LOWER_HALF) for g in ("lower",) if g in halves),
        *(_bar(f"lower half except {g}", change, style.GREEN, theirs.get(g)) for g, change in spared.items()),
    ]
