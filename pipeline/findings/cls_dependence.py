"""Dependence of the [CLS] attention of relay heads on the term-match heads: findings D1 and D1-direction."""

import pandas as pd

from pipeline.core.heads import Head
from pipeline.findings.select import relay_heads
from pipeline.findings.verdict import MIN_RANDOM_GROUPS, Finding, Part, conclude
from pipeline.stats.bootstrap import SIGNIFICANCE

MOST = 0.5  # share of the relay heads that decides
NO_RELAY_HEAD = Part(None, "on dev no high head both attends to shared terms differently from chance and matters")


def dependence(mediation: pd.DataFrame) -> Finding:
    """D1: with the term-match heads masked, most relay heads' [CLS] attention to shared terms changes significantly.

    The null is the change with random groups of as many heads masked.
    """
    relays = relay_heads(mediation)
    if relays.empty:
        return conclude("D1", "no relay head", [NO_RELAY_HEAD])
    dependent, random_groups = relays["p"] <= SIGNIFICANCE, int(relays["random_groups"].min())
    strongest = relays.iloc[int(relays["share_change"].abs().to_numpy().argmax())]
    measured = (
        f"{dependent.sum()} of {len(relays)} relay heads depend; most: {Head.of_row(strongest).name}, share on shared "
        f"terms {strongest['share']:.2f} {_share_change(strongest)}; random heads {strongest['random_median']:+.2f}"
    )
    if random_groups < MIN_RANDOM_GROUPS:
        return conclude("D1", measured, [Part(None, "too few random groups to compare with")])
    part = Part.of(
        True if dependent.mean() >= MOST else False if not dependent.any() else None,
        yes="most relay heads depend on the term-match heads",
        no="no relay head depends on the term-match heads more than on random ones",
        unsure="fewer than half of the relay heads depend on the term-match heads",
        figures=f"{dependent.sum()} of {len(relays)} at p <= {SIGNIFICANCE}, {random_groups} random groups",
    )
    return conclude("D1", measured, [part, _mediated(relays)])


def _share_change(row: pd.Series) -> str:
    return f"{row['share_change']:+.2f} ({row['share_change_low']:+.2f} to {row['share_change_high']:+.2f})"


def _mediated(relays: pd.DataFrame) -> Part:
    """Share of the term-match heads' effect that each relay head mediates: a remark."""
    mediated = relays["mediated"].dropna()
    if mediated.empty:
        return Part(True, "the mediated share is undefined: the total effect is not shown to differ from 0")
    return Part(True, f"each mediates {mediated.min():.0%} to {mediated.max():.0%} of the term-match heads' effect")


def direction(mediation: pd.DataFrame) -> Finding:
    """D1-direction: unmasked, most relay heads' [CLS] attention falls on shared terms, more than by chance."""
    relays = relay_heads(mediation)
    if relays.empty:
        return conclude("D1-direction", "no relay head", [NO_RELAY_HEAD])
    above, below = relays["difference_low"] > 0, relays["difference_high"] < 0
    part = Part.of(
        True if above.mean() > MOST else False if below.mean() > MOST else None,
        yes="the relay heads attend more to shared terms than by chance",
        no="the relay heads attend less to shared terms than by chance",
        unsure="relay heads do not agree in attending more or less to shared terms than by chance",
        figures=f"{above.sum()} relay heads above chance, {below.sum()} below, of {len(relays)}",
    )
    share, chance = relays["share"].mean(), relays["chance"].mean()
    measured = f"share of [CLS]'s attention to terms on shared ones: mean {share:.2f}, chance {chance:.2f}"
    return conclude("D1-direction", measured, [part])
