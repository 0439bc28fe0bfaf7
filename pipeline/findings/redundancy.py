"""Redundancy of random heads, whole layers and single heads: the article's findings R1, R2, S1 and S2.

Changes are relative accuracy changes as fractions; a part holds or fails only where its whole 95% interval says so.
"""

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED
from pipeline.core.heads import Head
from pipeline.findings import article, select
from pipeline.findings.verdict import MIN_RANDOM_GROUPS, Estimate, Finding, Part, conclude, percent
from pipeline.stats.bootstrap import equivalent

STEADY = 0.8  # rank correlation of share and mean loss from which the fall is steady
LAYER_LITTLE = -0.10  # a layer's change that still counts as little
MOST_EQUIVALENT = 2 / 3  # S1: share of heads equivalent to no change from which they are most
MANY_MATTER = 1 / 2  # S1: share of heads that matter from which most are not equivalent
FEW_MATTER = 0.20  # S1: share of heads up to which those that matter are a few
UNDEFINED_CHANGES = Part(None, "the unmasked accuracy is zero, so no change is defined")


def random_heads(contrasts: pd.DataFrame, margin: float) -> Finding:
    """R1: under 20% of the heads at random cost nothing on average; beyond that accuracy falls steadily."""
    shares = select.share_estimates(contrasts)
    measured = ", ".join(f"{share:.0%}: {estimate.text()}" for share, estimate in shares.items())
    few = [f"{share:.0%}" for share, estimate in shares.items() if estimate.random_groups < MIN_RANDOM_GROUPS]
    parts = [_safe_below(shares, margin), _falls_beyond(shares, margin)]
    if few:
        parts = [Part(None, f"fewer than {MIN_RANDOM_GROUPS} random groups of {', '.join(few)} of the heads")]
    return conclude("R1", f"share masked: mean change; {measured}" if measured else "not measured", parts)


def _safe_below(shares: dict[float, Estimate], margin: float) -> Part:
    """Whether the share under 20% that costs most loses less than the margin."""
    below = {share: estimate for share, estimate in shares.items() if share < article.SAFE_SHARE}
    if not below:
        return Part(None, "no share under 20% was masked")
    share = min(below, key=lambda share: below[share].value)
    return Part.of(
        below[share].above(-margin),
        yes=f"masking {share:.0%} costs less than {margin:.0%}",
        no=f"masking {share:.0%} already costs accuracy",
        unsure=f"masking {share:.0%} is not shown to cost less than {margin:.0%}, nor more",
        figures=below[share].text(),
    )


def _falls_beyond(shares: dict[float, Estimate], margin: float) -> Part:
    """Whether the mean falls beyond 20%, surely at the largest share, and steadily over the shares from 20%."""
    beyond = {share: estimate for share, estimate in shares.items() if share >= article.SAFE_SHARE}
    if max(beyond, default=0.0) <= article.SAFE_SHARE:
        return Part(None, "no share beyond 20% was masked")
    largest, steadiness = max(beyond), _steadiness(beyond)
    fell = beyond[largest].below(-margin)
    steady = len(beyond) < 3 or steadiness >= STEADY
    return Part.of(
        steady if fell else fell,
        yes="beyond 20% accuracy falls steadily",
        no="beyond 20% accuracy does not fall steadily",
        unsure="beyond 20% a fall is not shown",
        figures=f"{beyond[largest].text()} at {largest:.0%}, rank correlation of share and loss {steadiness:.2f}",
    )


def _steadiness(shares: dict[float, Estimate]) -> float:
    """Spearman's correlation of share and loss; NaN for a single share or equal losses."""
    ranks = pd.DataFrame({"share": list(shares), "loss": [-mean.value for mean in shares.values()]}).rank()
    return float(ranks["share"].corr(ranks["loss"]))


def layers(groups: pd.DataFrame, contrasts: pd.DataFrame) -> Finding:
    """R2: the lower half costs more than the upper, and no layer masked alone costs much."""
    lower, upper = (select.estimate(groups, "half", half) for half in ("lower", "upper"))
    halves = _halves(groups, select.contrast(contrasts, "lower_minus_upper"))
    single = {layer: change for layer, change in select.estimates(groups, "layer").items() if np.isfinite(change.value)}
    measured = f"lower half {lower.text()}, upper half {upper.text()}; worst single layer "
    if not single:
        return conclude("R2", f"{measured}not masked", [halves, Part(None, "no single layer was masked")])
    worst = min(single, key=lambda layer: single[layer].value)
    return conclude("R2", f"{measured}{worst} at {single[worst].text()}", [halves, _each_layer(single)])


def _halves(groups: pd.DataFrame, difference: Estimate) -> Part:
    if select.has_one_layer(groups):
        return Part(None, "a model of one layer has no halves")
    return Part.of(
        difference.below(0.0),
        yes="the lower half costs more than the upper",
        no="the lower half costs less than the upper",
        unsure="neither half is shown to cost more",
        figures=f"difference {difference.text()}",
    )


def _each_layer(single: dict[str, Estimate]) -> Part:
    above = [change.above(LAYER_LITTLE) for change in single.values()]
    much = [f"layer {layer} {change.text()}" for layer, change in single.items() if change.below(LAYER_LITTLE)]
    return Part.of(
        False if False in above else None if None in above else True,
        yes=f"every single layer costs less than {-LAYER_LITTLE:.0%}",
        no=f"{len(much)} of {len(single)} single layers cost more than {-LAYER_LITTLE:.0%}",
        unsure=f"not every single layer is shown to cost less than {-LAYER_LITTLE:.0%}",
        figures="; ".join(much) or f"worst {min(single.values(), key=lambda change: change.value).text()}",
    )


def single_heads(heads: pd.DataFrame, margin: float) -> Finding:
    """S1: most heads masked alone are equivalent to no change, and a few matter.

    Args:
        heads: one row per head (heads.csv).
    """
    ranked = heads.dropna(subset=[select.CHANGE]).sort_values([select.CHANGE, "layer", "head"])
    if ranked.empty:
        return conclude("S1", "undefined", [UNDEFINED_CHANGES])
    low, high = (ranked[f"{select.CHANGE}_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
    equal = equivalent(low, high, margin)
    matter = ranked["verdict"].isin([NEEDED, HARMFUL]).to_numpy()
    measured = (
        f"{equal.sum()} of {len(ranked)} heads within {margin:.0%} (whole interval), {matter.sum()} matter; "
        f"most costly {_head_change(ranked.iloc[0])}"
    )
    most = Part.of(
        True if equal.mean() >= MOST_EQUIVALENT else False if matter.mean() >= MANY_MATTER else None,
        yes="most heads are equivalent to no change",
        no="at least half of the heads matter",
        unsure="most heads are not shown to be equivalent to no change",
        figures=f"{equal.mean():.0%} of the heads within {margin:.0%}",
    )
    return conclude("S1", measured, [most, _a_few_matter(ranked, matter, margin)])


def _head_change(row: pd.Series) -> str:
    return f"{Head.of_row(row).name} at {select.row_estimate(row).text()}"


def _a_few_matter(heads: pd.DataFrame, matter: np.ndarray, margin: float) -> Part:
    """Whether some heads, but no more than FEW_MATTER of them, matter; undecided where the sample is too small."""
    underpowered = not matter.any() and heads["min_detectable_change"].median() > margin
    return Part.of(
        None if underpowered else bool(0 < matter.mean() <= FEW_MATTER),
        yes="a few heads matter",
        no="more than a few heads matter" if matter.any() else "no head matters",
        unsure=f"an effect of {margin:.0%} would not have been detected",
        figures=f"{matter.sum()} of {len(heads)} heads, corrected for their number",
    )


def harmful_heads(heads: pd.DataFrame, margin: float) -> Finding:
    """S2: some head's removal helps."""
    order = [select.CHANGE, "layer", "head"]
    ranked = heads.dropna(subset=[select.CHANGE]).sort_values(order, ascending=[False, True, True])
    if ranked.empty:
        return conclude("S2", "undefined", [UNDEFINED_CHANGES])
    best, harmful = ranked.iloc[0], int((ranked["verdict"] == HARMFUL).sum())
    part = Part.of(
        True if harmful else False if (ranked[f"{select.CHANGE}_high"] < margin).all() else None,
        yes=f"removing {harmful} head{'s' if harmful > 1 else ''} helps",
        no=f"no head's removal helps by {margin:.0%}",
        unsure="neither shown that some head's removal helps nor that none's does",
        figures=f"largest gain {_head_change(best)}",
    )
    return conclude("S2", f"{harmful} of {len(ranked)} heads harmful; best {percent(best[select.CHANGE])}", [part])
