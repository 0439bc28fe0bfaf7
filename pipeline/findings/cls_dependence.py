"""How high heads read low ones: the article's finding D1, as two statements judged apart.

A finding is a few parts; how they make a verdict stands in `pipeline.findings.verdict`.
"""

import pandas as pd

from pipeline.findings.verdict import MIN_DRAWS, Finding, Part, conclude

RARE = 0.05  # p up to which random heads hardly ever move a reader as far
MOST = 0.5  # share of the readers that decides
NONE = Part(None, "dev names no high head whose reading of shared terms is far from chance and that matters")


def dependence(readers: pd.DataFrame) -> Finding:
    """D1: without the term-match heads most readers' [CLS] attention to shared terms moves as random heads never do."""
    own = _readers(readers)
    if own.empty:
        return conclude("D1", "no reader head", [NONE])
    moved = own["p"] <= RARE
    strongest = own.iloc[int(own["share_change"].abs().to_numpy().argmax())]
    measured = (
        f"{moved.sum()} of {len(own)} readers depend; most: {_head(strongest)}, share on shared terms "
        f"{strongest['share']:.2f} {_change(strongest)}; random heads {strongest['control_median']:+.2f}"
    )
    if own["control_draws"].min() < MIN_DRAWS:
        return conclude("D1", measured, [Part(None, "too few random groups to compare with")])
    part = Part.judged(
        True if moved.mean() >= MOST else False if not moved.any() else None,
        yes="most readers depend on the term-match heads",
        no="no reader depends on the term-match heads more than on random ones",
        unsure="fewer than half of the readers depend on the term-match heads",
        figures=f"{moved.sum()} of {len(own)} at p <= {RARE}, {int(own['control_draws'].min())} random groups",
    )
    return conclude("D1", measured, [part, _mediated(own)])


def _mediated(own: pd.DataFrame) -> Part:
    """How much of the term-match heads' effect goes through each: a remark."""
    told = own["mediated"].dropna()
    if told.empty:
        return Part(True, "what they mediate is not told, since the total effect may be nothing")
    return Part(True, f"each mediates {told.min():.0%} to {told.max():.0%} of the term-match heads' effect")


def direction(readers: pd.DataFrame) -> Finding:
    """D1-direction: unmasked, most readers' [CLS] attention falls on shared terms, more than by chance."""
    own = _readers(readers)
    name = "D1-direction"
    if own.empty:
        return conclude(name, "no reader head", [NONE])
    above, below = own["difference_low"] > 0, own["difference_high"] < 0
    figures = f"{above.sum()} readers above chance, {below.sum()} below, of {len(own)}"
    part = Part.judged(
        True if above.mean() > MOST else False if below.mean() > MOST else None,
        yes="the readers look at what both texts share",
        no="the readers look away from what both texts share",
        unsure="some readers look at what both texts share and some away from it",
        figures=figures,
    )
    measured = f"share of [CLS]'s attention to terms on shared ones: mean {own['share'].mean():.2f}, chance "
    return conclude(name, f"{measured}{own['chance'].mean():.2f}", [part])


def _readers(readers: pd.DataFrame) -> pd.DataFrame:
    return readers[readers["reader"].astype(bool)] if "share" in readers else readers.iloc[:0]


def _head(row: pd.Series) -> str:
    return f"layer {row['layer']:.0f} head {row['head']:.0f}"


def _change(row: pd.Series) -> str:
    return f"{row['share_change']:+.2f} ({row['share_change_low']:+.2f} to {row['share_change_high']:+.2f})"
