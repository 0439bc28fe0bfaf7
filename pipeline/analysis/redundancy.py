"""How much can go: the article's findings on random heads, whole layers and single heads (R1, R2, S1), judged.

A finding is a few parts; how they make a verdict stands in `pipeline.analysis.verdicts`. Thresholds are the constants
below; changes are relative accuracy changes as fractions.
"""

import numpy as np
import pandas as pd

from pipeline.analysis import article, readings
from pipeline.analysis.verdicts import MIN_DRAWS, Finding, Part, at_least, conclude, percent

# R1
NO_LOSS = -0.03  # a draw that loses no more than this counts as "no loss"
NO_LOSS_DRAWS = (2 / 3, 1 / 3)  # share of such draws from which a share of heads is safe, up to which it is not
FALL = (0.10, 0.03)  # loss at the largest share (median) from which accuracy fell, up to which it did not
STEADY = (0.8, 0.0)  # rank correlation of share and median loss from which the fall is steady, up to which it is not

# R2
HALVES_APART = 0.05  # lower half's extra loss that counts as more; as much the other way counts as less
LAYER_LOSS = (-0.10, -0.20)  # a layer's change down to which it hurts little, from which it hurts much

# S1
ABOUT_ZERO = 0.01  # size of a change that counts as nothing
MOST = (2 / 3, 1 / 2)  # share of heads about zero from which it is most of them, up to which it is not
MATTERS = -0.02  # a head's change from which it matters
FEW = 0.20  # share of heads up to which those that matter are a few


def random_heads(groups: pd.DataFrame) -> Finding:
    """R1: under 20% of heads at random cost nothing in most draws; from there on accuracy falls, and steadily."""
    shares = readings.random_shares(groups)
    medians = {share: float(np.median(draws)) for share, draws in shares.items()}
    measured = ", ".join(f"{share:.0%}: {percent(median)}" for share, median in medians.items())
    few = [f"{share:.0%}" for share, draws in shares.items() if len(draws) < MIN_DRAWS]
    parts = [_safe_below(shares), _falls_beyond(medians)]
    if few:
        parts = [Part(None, f"fewer than {MIN_DRAWS} random draws of {', '.join(few)} of the heads")]
    return conclude("R1", f"share masked: median change; {measured}" if measured else "not measured", parts)


def _safe_below(shares: dict[float, np.ndarray]) -> Part:
    """Whether even the worst of the shares under 20% leaves most draws without loss."""
    below = {share: draws >= NO_LOSS for share, draws in shares.items() if share < article.SAFE_SHARE}
    if not below:
        return Part(None, "no share under 20% was masked")
    share = min(below, key=lambda share: below[share].mean())
    safe = below[share]
    return Part.judged(
        at_least(float(safe.mean()), *NO_LOSS_DRAWS),
        yes=f"masking {share:.0%} costs about nothing",
        no=f"masking {share:.0%} already costs accuracy",
        unsure=f"masking {share:.0%} costs accuracy in some draws and nothing in others",
        figures=f"{safe.sum()} of {len(safe)} draws lose no more than {-NO_LOSS:.0%}",
    )


def _falls_beyond(medians: dict[float, float]) -> Part:
    """Whether the median falls beyond 20%, by how much at the largest share, and steadily over the shares from 20%."""
    beyond = {share: median for share, median in medians.items() if share >= article.SAFE_SHARE}
    if max(beyond, default=0.0) <= article.SAFE_SHARE:
        return Part(None, "no share beyond 20% was masked")
    largest, steadiness = max(beyond), _steadiness(beyond)
    fell, steady = at_least(-beyond[largest], *FALL), at_least(steadiness, *STEADY)
    return Part.judged(
        fell if not fell or len(beyond) == 1 else steady,
        yes="beyond 20% accuracy falls",
        no="beyond 20% accuracy does not fall steadily",
        unsure="beyond 20% no clear fall shows",
        figures=f"{percent(beyond[largest])} at {largest:.0%}, rank correlation of share and loss {steadiness:.2f}",
    )


def _steadiness(medians: dict[float, float]) -> float:
    """Spearman's correlation of share and loss; NaN for a single share or equal losses."""
    ranks = pd.DataFrame({"share": list(medians), "loss": [-median for median in medians.values()]}).rank()
    return float(ranks["share"].corr(ranks["loss"]))


def layers(groups: pd.DataFrame) -> Finding:
    """R2: the lower half costs more than the upper, and no layer masked alone costs much."""
    lower, upper = (readings.change(groups, "half", half) for half in ("lower", "upper"))
    halves = Part.judged(
        at_least(upper - lower, HALVES_APART, -HALVES_APART),
        yes="the lower half costs more than the upper",
        no="the lower half costs less than the upper",
        unsure="neither half clearly costs more",
        figures=f"{percent(lower)} against {percent(upper)}",
    )
    single = readings.rows(groups, "layer").set_index("group")[readings.CHANGE].astype(float).dropna()
    if single.empty:
        return conclude("R2", halves.text, [halves, Part(None, "no single layer was masked")])
    worst = f"layer {single.idxmin()} at {percent(single.min())}"
    measured = f"lower half {percent(lower)}, upper half {percent(upper)}; single layers: median "
    return conclude("R2", f"{measured}{percent(single.median())}, worst {worst}", [halves, _each_layer(single, worst)])


def _each_layer(changes: pd.Series, worst: str) -> Part:
    return Part.judged(
        at_least(float(changes.min()), *LAYER_LOSS),
        yes="every single layer costs little",
        no="not every single layer costs little",
        unsure="one single layer costs more than little and less than much",
        figures=f"the worst is {worst}",
    )


def single_heads(heads: pd.DataFrame, pairs: int) -> Finding:
    """S1: most heads masked alone change about nothing, and some, but few, matter.

    Args:
        heads: one row a head.
        pairs: how many pairs the heads were tested on; too few cannot show a change about zero.
    """
    ranked = heads.dropna(subset=[readings.CHANGE]).sort_values([readings.CHANGE, "layer", "head"])
    if ranked.empty:
        return conclude("S1", "undefined", [Part(None, "the baseline accuracy is zero, so no change is defined")])
    changes, worst = ranked[readings.CHANGE].to_numpy(dtype=float), ranked.iloc[0]
    measured = (
        f"{(np.abs(changes) <= ABOUT_ZERO).sum()} of {len(changes)} heads within {ABOUT_ZERO:.0%}; "
        f"strongest layer {worst['layer']:.0f} head {worst['head']:.0f} at {percent(changes[0])}"
    )
    parts = [_most_are_still(changes), _a_few_matter(changes)]
    if 1 / pairs > ABOUT_ZERO:
        parts = [Part(None, f"one of {pairs} pairs alone moves accuracy by more than {ABOUT_ZERO:.0%}")]
    return conclude("S1", measured, parts)


def _most_are_still(changes: np.ndarray) -> Part:
    still = np.abs(changes) <= ABOUT_ZERO
    return Part.judged(
        at_least(float(still.mean()), *MOST),
        yes="most heads change about nothing",
        no="fewer than half of the heads change about nothing",
        unsure="about half of the heads change about nothing",
        figures=f"{still.mean():.0%} stay within {ABOUT_ZERO:.0%}",
    )


def _a_few_matter(changes: np.ndarray) -> Part:
    """Whether some heads, but no more than FEW of them, matter; undecided where the strongest nearly does."""
    matter = changes <= MATTERS
    nearly = not matter.any() and changes.min() < -ABOUT_ZERO
    return Part.judged(
        None if nearly else bool(0 < matter.mean() <= FEW),
        yes="a few matter",
        no="none matters" if not matter.any() else "more than a few matter",
        unsure="the strongest hardly matters",
        figures=f"{matter.sum()} lose {-MATTERS:.0%} or more",
    )
