"""Redundancy of random heads, whole layers and single heads: the article's findings R1, R2, S1 and S2.

R1 and R2 are judged by relative changes of the headline measure, the article's way, with the primary measure beside; S1
and S2 by the primary measure, the headline one beside. A part holds or fails only where its whole 95% interval says so.
"""

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED, NO_EFFECT, SMALL
from pipeline.core.heads import Head
from pipeline.findings import article, select
from pipeline.findings.verdict import MIN_RANDOM_GROUPS, Estimate, Finding, Part, conclude, percent
from pipeline.stats.bootstrap import SIGNIFICANCE
from pipeline.stats.measures import Measure

STEADY = 0.8  # rank correlation of share and mean loss from which the fall is steady
LAYER_LITTLE = -0.10  # change that still counts as little for one of the article's layers
MOST_IDLE = 2 / 3  # S1: share of heads that change about nothing from which they are most
MANY_MATTER = 1 / 2  # S1: share of heads that matter from which most do not change nothing
FEW_MATTER = 0.20  # S1: share of heads up to which those that matter are a few
SHOWN_SLICES = 3  # S2: slices named for a harmful head


def random_heads(tables: select.Tables) -> Finding:
    """R1: under 20% of the heads at random cost nothing on average; beyond that the headline measure falls steadily."""
    shares = select.share_estimates(tables.contrasts, tables.headline)
    measured = ", ".join(f"{share:.0%}: {percent(estimate.value)}" for share, estimate in shares.items())
    few = [f"{share:.0%}" for share, estimate in shares.items() if estimate.random_groups < MIN_RANDOM_GROUPS]
    parts = [
        _safe_below(tables, shares),
        _falls_beyond(tables, shares),
        *_beside(tables, shares),
    ]
    if few:
        parts = [Part(None, f"fewer than {MIN_RANDOM_GROUPS} random groups of {', '.join(few)} of the heads")]
    return conclude("R1", f"share masked: mean change; {measured}" if measured else "not measured", parts)


def _safe_below(tables: select.Tables, shares: dict[float, Estimate]) -> Part:
    """Whether the share under 20% that costs most loses less than what matters."""
    margin = select.size_that_matters(tables.group_scales, tables.headline)
    below = {share: estimate for share, estimate in shares.items() if share < article.SAFE_SHARE}
    if not below:
        return Part(None, "no share under 20% was masked")
    share = min(below, key=lambda share: below[share].value)
    return Part.of(
        below[share].above(-margin),
        yes=f"masking {share:.0%} costs less than {margin:.1%}",
        no=f"masking {share:.0%} already costs {tables.words.headline}",
        unsure=f"masking {share:.0%} is not shown to cost less than {margin:.1%}, nor more"
        + (", though some loss is sure" if below[share].below(0.0) else ""),
        figures=f"{below[share].text()}, {below[share].random_groups} random groups; {margin:.1%} is "
        f"{tables.equivalence_margin:.0%} of the way to a model that {tables.words.nothing}",
    )


def _falls_beyond(tables: select.Tables, shares: dict[float, Estimate]) -> Part:
    """Whether the mean falls beyond 20%, surely at the largest share, and steadily until the model has collapsed.

    Shares at which it has collapsed are left out but for the smallest, since no model falls from the floor.
    """
    margin = select.size_that_matters(tables.group_scales, tables.headline)
    fallen = select.collapsed_shares(tables.contrasts, tables.measures.collapse_by)
    beyond = {share: estimate for share, estimate in shares.items() if share >= article.SAFE_SHARE}
    beyond = {share: estimate for share, estimate in beyond.items() if share <= min(fallen, default=1.0)}
    if max(beyond, default=0.0) <= article.SAFE_SHARE:
        return Part(None, "no share beyond 20% was masked at which something was left to lose")
    largest, steadiness = max(beyond), _steadiness(beyond)
    fell = beyond[largest].below(-margin)
    steady = len(beyond) < 3 or steadiness >= STEADY
    return Part.of(
        steady if fell else fell,
        yes=f"beyond 20% {tables.words.headline} falls steadily",
        no=f"beyond 20% {tables.words.headline} does not fall steadily",
        unsure="beyond 20% a fall is not shown",
        figures=f"{beyond[largest].text()} at {largest:.0%}, rank correlation of share and loss {steadiness:.2f}",
    )


def _steadiness(shares: dict[float, Estimate]) -> float:
    """Spearman's correlation of share and loss; NaN for a single share or equal losses."""
    ranks = pd.DataFrame({"share": list(shares), "loss": [-mean.value for mean in shares.values()]}).rank()
    return float(ranks["share"].corr(ranks["loss"]))


def _beside(tables: select.Tables, shares: dict[float, Estimate]) -> list[Part]:
    """The other measures at the smallest share: remarks."""
    return [
        Part(True, f"{measure.label} at {share:.0%}: {change.text()}")
        for measure in tables.beside
        for share, change in list(select.share_estimates(tables.contrasts, measure).items())[:1]
    ]


def layers(tables: select.Tables) -> Finding:
    """R2: the lower half costs more than the upper, and no layer masked alone costs much."""
    groups = tables.groups
    lower, upper = (select.estimate(groups, "half", half, tables.headline) for half in ("lower", "upper"))
    parts = [_halves(tables)]
    each = select.estimates(groups, "layer", tables.headline)
    single = {layer: change for layer, change in each.items() if np.isfinite(change.value)}
    measured = f"lower half {lower.text()}, upper half {upper.text()}; worst single layer "
    if not single:
        return conclude("R2", f"{measured}not masked", [*parts, Part(None, "no single layer was masked")])
    worst = min(single, key=lambda layer: single[layer].value)
    remarks = [_halves_beside(tables, measure) for measure in tables.beside]
    return conclude("R2", f"{measured}{worst} at {single[worst].text()}", [*parts, _each_layer(single), *remarks])


HALVES = ("half", "lower"), ("half", "upper")


def _halves(tables: select.Tables) -> Part:
    if select.has_one_layer(tables.groups):
        return Part(None, "a model of one layer has no halves")
    difference = select.contrast(tables.contrasts, "lower_minus_upper", tables.headline)
    if select.have_collapsed(tables.groups, tables.measures.collapse_by, *HALVES):
        left = f"either half masked leaves a model that {tables.words.nothing}, by {tables.words.collapse}"
        return Part(None, f"{left} (lower minus upper {difference.text()})")
    return Part.of(
        difference.below(0.0),
        yes="the lower half costs more than the upper",
        no="the lower half costs less than the upper",
        unsure="neither half is shown to cost more",
        figures=f"lower minus upper {difference.text()}",
    )


def _halves_beside(tables: select.Tables, measure: Measure) -> Part:
    lower, upper = (select.estimate(tables.groups, *half, measure).text() for half in HALVES)
    return Part(True, f"{measure.label}: lower {lower}, upper {upper}")


def _each_layer(single: dict[str, Estimate]) -> Part:
    """Whether each layer costs little for the share of the model that it is, as one of the article's layers may."""
    little = LAYER_LITTLE * article.LAYERS / len(single)
    above = [change.above(little) for change in single.values()]
    much = [f"layer {layer} {change.text()}" for layer, change in single.items() if change.below(little)]
    return Part.of(
        False if False in above else None if None in above else True,
        yes=f"every single layer costs less than {-little:.0%}",
        no=f"{len(much)} of {len(single)} single layers cost more than {-little:.0%}",
        unsure=f"not every single layer is shown to cost less than {-little:.0%}",
        figures="; ".join(much) or f"worst {min(single.values(), key=lambda change: change.value).text()}",
    )


def single_heads(tables: select.Tables) -> Finding:
    """S1: most heads masked alone change about nothing, and a few matter, a low matcher and a high head among them."""
    heads, measure = tables.heads, tables.primary
    by_measure = heads["verdict"].isin([SMALL, NO_EFFECT]).to_numpy()
    idle = by_measure | heads["is_inert"].to_numpy()
    matter = heads["verdict"].isin([NEEDED, HARMFUL]).to_numpy()
    costly = heads.sort_values([measure.to_constant, "layer", "head"], ascending=[False, True, True])
    most = Part.of(
        True if idle.mean() >= MOST_IDLE else False if matter.mean() >= MANY_MATTER else None,
        yes="most heads change about nothing",
        no="at least half of the heads matter",
        unsure="most heads are not shown to change about nothing",
        figures=f"{idle.mean():.0%} of the heads, within {tables.equivalence_margin:.0%} of the way to "
        f"a model that {tables.words.nothing}",
    )
    measured = f"by {measure.label}: {matter.sum()} of {len(heads)} heads matter, {idle.sum()} change about nothing"
    if inert := int((idle & ~by_measure).sum()):
        measured += f" ({by_measure.sum()} by this measure, {inert} more inert: predictions hardly change without)"
    measured = f"{measured}; most costly {_head_change(costly.iloc[0], measure)}"
    parts = [most, _a_few_matter(heads, matter, tables.equivalence_margin)]
    return conclude("S1", measured, [*parts, _named_heads(tables), *_by_headline(tables)])


def _head_change(row: pd.Series, measure: Measure) -> str:
    return f"{Head.of_row(row).name} at {select.row_estimate(row, measure).text()}"


def _a_few_matter(heads: pd.DataFrame, matter: np.ndarray, margin: float) -> Part:
    """Whether some heads, but no more than FEW_MATTER of them, matter; undecided where the sample is too small."""
    smallest = float(heads["detectable_to_constant"].median())
    decided = matter.any() or smallest <= 2 * margin
    return Part.of(
        bool(0 < matter.mean() <= FEW_MATTER) if decided else None,
        yes="a few heads matter",
        no="more than a few heads matter" if matter.any() else "no head matters",
        unsure=f"an effect below {smallest:.0%} of the way would not have been seen",
        figures=f"{matter.sum()} of {len(heads)} heads, corrected for their number",
    )


def _named_heads(tables: select.Tables) -> Part:
    """Whether a low term-match head and a high head are needed: the two that the article names."""
    heads = tables.heads.sort_values(tables.primary.to_constant, ascending=False)
    high = heads["layer"] >= select.first_high_layer(heads)
    matchers = set(select.labelled(tables.labels, "term_match"))
    matching = np.array([Head.of_row(row) in matchers for row in select.records(heads)])
    kinds = {"low term-match heads": heads[~high & matching], "high heads": heads[high]}
    needed = {kind: rows[rows["verdict"] == NEEDED] for kind, rows in kinds.items()}
    idle = [HARMFUL, SMALL, NO_EFFECT]
    spared = [kind for kind, rows in kinds.items() if len(rows) and rows["verdict"].isin(idle).all()]
    named = [f"{kind} {_short(rows)}" for kind, rows in needed.items() if len(rows)]
    return Part.of(
        True if len(named) == len(kinds) else False if spared else None,
        yes="a low term-match head and a high head are needed",
        no=f"none of the {' and '.join(spared)} is needed",
        unsure="of low term-match heads and high heads not both are shown to be needed",
        figures="; ".join(named) or "neither",
    )


def _short(heads: pd.DataFrame) -> str:
    return ", ".join(Head.of_row(row).short for row in select.records(heads))


def _by_headline(tables: select.Tables) -> list[Part]:
    """Which heads are needed, and which differ by the headline measure: remarks, where another measure decides."""
    needed = tables.heads[tables.heads["verdict"] == NEEDED]
    remarks = [Part(True, f"needed: {_short(needed) or 'none'}")]
    if tables.primary != tables.headline:
        sure = tables.heads[tables.heads[f"{tables.headline.name}_q"] < SIGNIFICANCE]
        remarks.append(Part(True, f"by {tables.headline.label}, whatever the size: {_short(sure) or 'none'}"))
    return remarks


def harmful_heads(tables: select.Tables) -> Finding:
    """S2: some head's removal helps; where, and how it moves the grades."""
    heads, measure = tables.heads, tables.primary
    ranked = heads.dropna(subset=[measure.to_constant]).sort_values([measure.to_constant, "layer", "head"])
    if ranked.empty:
        return conclude(
            "S2", "not measured", [Part(None, f"the model is no better than one that {tables.words.nothing}")]
        )
    best, harmful = ranked.iloc[0], ranked[ranked["verdict"] == HARMFUL]
    may_help = _may_help(ranked, measure, select.size_that_matters(tables.head_scales, measure))
    part = Part.of(
        True if len(harmful) else False if not may_help.any() else None,
        yes=f"removing {_short(harmful)} helps",
        no="no head's removal helps by what matters",
        unsure=f"whether removing {_short(ranked[may_help])} helps by what matters is not decided",
        figures=f"{_small_help(tables, ranked)}; {_chance(tables, len(ranked))}",
    )
    why = [_why(tables, row) for row in select.records(harmful)]
    measured = f"{len(harmful)} of {len(ranked)} heads harmful by {measure.label}; best {_head_change(best, measure)}"
    change = percent(best[tables.headline.change])
    return conclude("S2", f"{measured}, {tables.headline.label} {change}", [part, *why])


def _chance(tables: select.Tables, heads: int) -> str:
    largest, by_chance = tables.largest_gains
    return f"the surest is {largest:.1f} standard errors, by chance the surest of {heads} is up to {by_chance:.1f}"


def _may_help(heads: pd.DataFrame, measure: Measure, margin: float) -> np.ndarray:
    """Whether removal may help by what matters, bool [head]."""
    ends = heads[[f"{measure.change}_low", f"{measure.change}_high"]].to_numpy(dtype=float)
    return -measure.harm(ends).min(axis=1) > margin


def _small_help(tables: select.Tables, heads: pd.DataFrame) -> str:
    """The heads whose removal surely helps by less than what matters, and the largest gain; ranked from the best."""
    measure = tables.primary
    small = heads[(heads["verdict"] == SMALL) & (heads[measure.to_constant] < 0)]
    best = heads.iloc[0]
    way = f"{-best[measure.to_constant]:.1%} of the way to a model that {tables.words.nothing}"
    gain = f"largest gain {_head_change(best, measure)}, {way}"
    return f"{_short(small) or 'none'} surely help{'s' if len(small) == 1 else ''} by less; {gain}"


def _why(tables: select.Tables, row: pd.Series) -> Part:
    """Where a harmful head harms, and how its removal moves a grader's grades: a remark."""
    head = Head.of_row(row)
    slices = tables.head_slices
    mine = slices[(slices["layer"] == head.layer) & (slices["head"] == head.head) & slices["is_sure"]]
    better, worse = (
        ", ".join(_slice_effect(row) for row in select.records(rows.head(SHOWN_SLICES))) or "none"
        for rows in (
            mine[mine["to_constant"] < 0].sort_values("to_constant"),
            mine[mine["to_constant"] > 0].sort_values("to_constant", ascending=False),
        )
    )
    without = f"without {head.short} {_moved_grade(tables, row)}surely better, by share of the way"
    return Part(True, f"{without}, on {better}; surely worse on {worse}")


def _moved_grade(tables: select.Tables, row: pd.Series) -> str:
    """The grade whose logit rises most without a head; nothing of a ranker, which has no logits of grades."""
    shifts = row.filter(regex=r"^logit_shift_\d+$").astype(float)
    if shifts.empty:
        return ""
    grade = tables.grades[int(str(shifts.idxmax()).removeprefix("logit_shift_"))]
    return f"the logit of grade {grade} rises most ({shifts.max():+.3f}); "


def _slice_effect(row: pd.Series) -> str:
    return f"{row['slice']} {row['value']} ({abs(float(row['to_constant'])):.1%})"
