"""What each further head of a function costs: its best one, two, three, ... masked together."""

import pandas as pd
from matplotlib.ticker import MaxNLocator

from pipeline.analysis import readings
from pipeline.analysis.verdicts import percent
from pipeline.reporting import style
from pipeline.reporting.picture import Picture, Words, canvas, panel, picture
from pipeline.reporting.results import Results

MARKERS = "os^"


def top_k(results: Results) -> Picture:
    """Relative accuracy change against the number of heads masked, a line a function, its interval as a band."""
    masked = readings.rows(results.groups, "top_k").dropna(subset=[readings.CHANGE])
    figure = canvas(7.4, 3.6)
    axes = panel(figure, 0.7, 0.5, 6.4, 2.7)
    axes.axhline(0, color=style.GREY, lw=0.8)
    functions = list(dict.fromkeys(masked["group"]))
    for name, colour, marker in zip(functions, style.KINDS, MARKERS, strict=False):
        own = masked[masked["group"] == name]
        low, high = (100 * own[f"{readings.CHANGE}_{end}"] for end in ("low", "high"))
        axes.fill_between(own["heads_masked"], low, high, color=colour, alpha=0.15, lw=0)
        axes.plot(own["heads_masked"], 100 * own[readings.CHANGE], f"{marker}-", color=colour, ms=4, label=name)
    axes.set(xlabel="heads masked, the best of the function first", ylabel="relative accuracy change (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=3)
    return picture(figure, _words(results, masked))


def _words(results: Results, masked: pd.DataFrame) -> Words:
    ends = masked.sort_values("heads_masked").groupby("group", sort=False).tail(1)
    at_most = "; ".join(
        f"{group}, {count} heads: {percent(change)}"
        for group, count, change in zip(ends["group"], ends["heads_masked"], ends[readings.CHANGE], strict=True)
    )
    return Words(
        name="top_k",
        title="One head after another of a function",
        alt=f"Lines of the accuracy change by number of heads masked. {at_most}.",
        caption=f"Change of accuracy when a function's best heads are masked, {results.unit}; the heads are ranked on "
        "the dev split. The shades are 95% intervals.",
    )
