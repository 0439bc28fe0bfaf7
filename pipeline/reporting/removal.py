"""What is left as more and more heads are removed: by importance, either way round, and at random."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.analysis.verdicts import percent
from pipeline.reporting import style
from pipeline.reporting.picture import Picture, Words, canvas, panel, picture

LEAST_FIRST, MOST_FIRST, RANDOM = "least important first", "most important first", "random order"
LOOKS = {LEAST_FIRST: ("o-", style.BLUE), MOST_FIRST: ("s-", style.ORANGE)}
AXIS = "relative accuracy change (%)"


def removal_curves(curves: pd.DataFrame, unit: str) -> Picture:
    """Accuracy against the share of heads removed, a line an order.

    Args:
        curves: order (LEAST_FIRST, MOST_FIRST or RANDOM), share (of all heads, 0 to 1), draw (0 but for RANDOM) and
            change (relative accuracy change, a fraction).
        unit: what the change is measured in, and on what, as `Results.unit`.
    """
    return picture(chart(curves), _words(curves, unit))


def chart(curves: pd.DataFrame) -> Figure:
    """The figure of `removal_curves`."""
    figure = canvas(7.4, 4.2)
    axes = panel(figure, 0.7, 0.5, 6.4, 3.3)
    axes.axhline(0, color=style.GREY, lw=0.8)
    for order, (line, colour) in LOOKS.items():
        medians = 100 * _by_share(curves, order)["median"]
        if len(medians):
            axes.plot(medians.index * 100, medians, line, color=colour, ms=4, label=order)
    _random(axes, 100 * _by_share(curves, RANDOM))
    axes.set(xlabel="share of all heads removed (%)", ylabel=AXIS, xlim=(-1, 101))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=4, columnspacing=1.2, handlelength=1.6)
    return figure


def _random(axes: Axes, changes: pd.DataFrame) -> None:
    """The median of random orders, over a band from the lowest to the highest draw."""
    if changes.empty:
        return
    shares = changes.index * 100
    axes.plot(shares, changes["median"], "--", color=style.INK, label=f"{RANDOM}, median")
    axes.fill_between(
        shares, changes["min"], changes["max"], color=style.GREY, alpha=0.3, lw=0, label="lowest to highest draw"
    )


def _by_share(curves: pd.DataFrame, order: str) -> pd.DataFrame:
    """The order's changes by rising share: min, median and max over draws; undefined ones left out."""
    rows = curves[curves["order"] == order].dropna(subset=["change"])
    return rows.groupby("share")["change"].agg(["min", "median", "max"])


def _words(curves: pd.DataFrame, unit: str) -> Words:
    draws = curves.loc[curves["order"] == RANDOM, "draw"].nunique()
    return Words(
        name="removal_curves",
        title="Heads removed one after another",
        alt=f"Curves of the accuracy change by share of heads removed. {_described(curves)}.",
        caption=f"Change of accuracy when a growing share of all heads is removed, {unit}. The wider the two solid "
        "lines lie apart, the better the importance tells heads that matter from heads that do not; an importance "
        f"worth nothing runs within the grey band, which spans {draws} random orders.",
    )


def _described(curves: pd.DataFrame) -> str:
    """The change of each order at the share nearest to half of the heads."""
    parts = []
    for order in (*LOOKS, RANDOM):
        medians = _by_share(curves, order)["median"]
        if len(medians):
            share = min(medians.index, key=lambda share: abs(share - 0.5))
            parts.append(f"{order}: {percent(float(medians[share]))} with {share:.0%} removed")
    return "; ".join(parts) or "Nothing is defined"
