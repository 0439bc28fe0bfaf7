"""Dependence of the strongest relay head's [CLS] attention on the term-match heads: findings D1 and D1-direction."""

import numpy as np
import pandas as pd

from pipeline.core.heads import Head
from pipeline.findings.select import CLS_POOLING, Tables, relay_heads
from pipeline.findings.verdict import MIN_RANDOM_GROUPS, UNDEFINED, Estimate, Finding, Part, conclude, not_judged
from pipeline.stats.bootstrap import SIGNIFICANCE
from pipeline.tables.dependency import CLS_ROW, RELAY_HEADS

NO_CLS = "the model reads the mean of all positions, and no [CLS] that a high head could write to"


def dependence(tables: Tables) -> Finding:
    """D1: without the term-match heads the strongest relay head's [CLS] leaves the shared terms and scatters.

    And their effect passes through the relay heads' [CLS] rows.
    """
    if tables.pooling != CLS_POOLING:
        return not_judged("D1", "no [CLS] that is read", NO_CLS)
    relays, joint = relay_heads(tables.mediation, tables.measures.margin), tables.joint_mediation
    if relays.empty:
        return conclude("D1", "no relay head", [_no_relay_head(tables)])
    strongest = relays.iloc[0]
    mediated = _joint_share(joint, "mediated")
    measured = (
        f"{Head.of_row(strongest).name}: share on shared terms {strongest['share']:.2f} "
        f"{_change(strongest, 'share_change')}, entropy {strongest['entropy']:.2f} "
        f"{_change(strongest, 'entropy_change')}; {len(relays)} relay heads' [CLS] rows mediate {_percents(mediated)}"
    )
    return conclude("D1", measured, [_leaves_shared_terms(strongest), _scatters(strongest), *_passes_through(joint)])


def _no_relay_head(tables: Tables) -> Part:
    return Part(None, f"on dev no high head's [CLS] row is shown to lower the {tables.words.margin} when masked")


def _leaves_shared_terms(relay: pd.Series) -> Part:
    """Whether its share on shared terms falls, further than it moves with layer-matched random groups masked."""
    random_groups = int(relay["random_groups"])
    falls = _estimate(relay, "share_change").below(0.0)
    if falls and random_groups < MIN_RANDOM_GROUPS:
        return Part(None, "its attention leaves the shared terms, with too few random groups to compare with")
    return Part.of(
        falls and (bool(relay["p"] <= SIGNIFICANCE) or None),
        yes="its attention leaves the shared terms, more than with random groups masked",
        no="its attention turns to the shared terms",
        unsure="its attention is not shown to leave the shared terms more than with random groups masked",
        figures=f"{_change(relay, 'share_change')}, p {relay['p']:.3f} among {random_groups} random groups",
    )


def _scatters(relay: pd.Series) -> Part:
    return Part.of(
        _estimate(relay, "entropy_change").above(0.0),
        yes="it scatters",
        no="it narrows",
        unsure="it is not shown to scatter",
        figures=f"entropy {_change(relay, 'entropy_change')}, random groups {relay['random_entropy_median']:+z.3f}",
    )


def _passes_through(joint: pd.DataFrame) -> list[Part]:
    """Whether the relay heads' [CLS] rows mediate the term-match heads' effect, and more of it than other heads'."""
    mediated, above_others = (_joint_share(joint, name) for name in ("mediated", "above_others"))
    if np.isnan(mediated.value):
        return [Part(None, "the mediated share is undefined: the total effect is not shown to differ from 0")]
    return [
        Part.of(
            mediated.above(0.0),
            yes="the effect passes through the relay heads' [CLS] rows",
            no="the relay heads' [CLS] rows work against the effect",
            unsure="the effect is not shown to pass through the relay heads' [CLS] rows",
            figures=_percents(mediated),
        ),
        Part.of(
            above_others.above(0.0),
            yes="they mediate more of it than the other candidates'",
            no="the other candidates' mediate more of it",
            unsure="they are not shown to mediate more of it than the other candidates'",
            figures=f"difference {_percents(above_others)}",
        ),
    ]


def direction(tables: Tables) -> Finding:
    """D1-direction: unmasked, the strongest relay head's [CLS] attends to shared terms more than by chance."""
    if tables.pooling != CLS_POOLING:
        return not_judged("D1-direction", "no [CLS] that is read", NO_CLS)
    relays = relay_heads(tables.mediation, tables.measures.margin)
    if relays.empty:
        return conclude("D1-direction", "no relay head", [_no_relay_head(tables)])
    strongest, above = relays.iloc[0], (relays["difference_low"] > 0).sum()
    part = Part.of(
        _estimate(strongest, "difference").above(0.0),
        yes="it attends to shared terms more than by chance",
        no="it attends to shared terms less than by chance",
        unsure="it is not shown to attend to shared terms more or less than by chance",
        figures=f"{_change(strongest, 'difference')} of its attention to terms",
    )
    measured = (
        f"{Head.of_row(strongest).name}: share on shared terms {strongest['share']:.2f}, chance "
        f"{strongest['chance']:.2f}; {above} of {len(relays)} relay heads above chance"
    )
    return conclude("D1-direction", measured, [part])


def _joint_share(joint: pd.DataFrame, name: str) -> Estimate:
    """A share of the relay heads' [CLS] rows together, NaN where there are none."""
    for _, row in joint[(joint["outputs"] == RELAY_HEADS) & (joint["rows"] == CLS_ROW)].iterrows():
        return _estimate(row, name)
    return UNDEFINED


def _estimate(row: pd.Series, name: str) -> Estimate:
    return Estimate(float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"]))


def _change(row: pd.Series, name: str) -> str:
    return f"{row[name]:+z.3f} ({row[f'{name}_low']:+z.3f} to {row[f'{name}_high']:+z.3f})"


def _percents(share: Estimate) -> str:
    if np.isnan(share.value):
        return "an undefined share"
    return f"{share.value:z.0%} ({share.low:z.0%} to {share.high:z.0%})"
