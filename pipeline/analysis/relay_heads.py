"""Relay heads: upper heads whose [CLS] row the grade rests on, chosen on dev, and what they owe the term-match heads.

The candidates are the heads of the upper half; all of them are measured, on dev and on test, as each other's control.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from pipeline.ablation.cls_attention import (
    QUANTITIES,
    SHARED_TERM_SHARE,
    ClsAttention,
    chance_shared_term_share,
)
from pipeline.ablation.head_groups import MATCHERS, head_mask
from pipeline.ablation.sweep import AblationTarget
from pipeline.analysis.ablation_effects import Metrics
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.analysis.mediation import (
    MediationLogits,
    ablated_logits,
    margin_changes,
    mediation,
    single_heads,
)
from pipeline.attention.example_pairs import describe_pair, example_pairs
from pipeline.core.heads import Head, every_head
from pipeline.stats.bootstrap import SIGNIFICANCE, QuerySample, estimate_columns, percentile, q_values, sign_flips
from pipeline.stats.measure_sets import MeasureSet
from pipeline.stats.metrics import nan_mean, none_if_nan
from pipeline.tables.dependency import ALL_ROWS, CLS_ROW, OTHERS, RELAY_HEADS, TOKEN_KINDS

ENTROPY = QUANTITIES.index("entropy")
TERM_MASSES = [QUANTITIES.index("shared_term_mass"), QUANTITIES.index("other_term_mass")]


def masked_matchers(groups: pd.DataFrame) -> tuple[Head, ...]:
    """The term-match heads that were masked together, from groups.csv; none where no pair defines the function."""
    rows = groups[(groups["group_type"] == "function") & (groups["group"] == MATCHERS)]
    return tuple(Head.from_short(member) for members in rows["members"] for member in members.split())


def relay_candidates(layers: int, heads: int, matchers: Sequence[Head]) -> list[Head]:
    """Candidates for relay heads: the upper half except the matchers and layer 0; none without matchers."""
    upper = every_head(layers, heads)[layers // 2 * heads :]
    return [head for head in upper if head.layer and head not in matchers] if matchers else []


def relay_table(
    chosen: pd.DataFrame, test: AblationTarget, sums: ClsAttentionSums, logits: MediationLogits
) -> pd.DataFrame:
    """Table of candidates: their choice on dev, and on test their dependence on the matchers, cost and mediation.

    Args:
        chosen: as `choose_relay_heads` returns it.
        sums: on test; see `relay_dependence`.
        logits: on test, of mediation through the [CLS] row of each candidate.
    """
    if chosen.empty:
        return chosen
    candidates, targets = [Head.of_row(row) for row in chosen.itertuples()], list(range(1, test.shape[0]))
    chances, measures = chance_shared_term_share(test.token_kinds), test.measures
    unmasked, masked = ablated_logits(test, single_heads(candidates))
    all_rows = margin_changes(masked, measures, test.evaluated(unmasked))
    evaluated = test.evaluated(logits.unmasked)
    cls_row = margin_changes(logits.ablated, measures, evaluated)
    tables = [
        relay_dependence(candidates, sums, targets, chances, test.sample),
        cost_columns("", all_rows, cls_row, measures, test.sample),
        mediation(logits, measures, evaluated),
    ]
    return pd.concat([chosen, *tables], axis=1)


def cost_columns(
    prefix: str, all_rows: np.ndarray, cls_row: np.ndarray, measures: MeasureSet, sample: QuerySample
) -> pd.DataFrame:
    """Mean `margin_changes` with intervals, of each head masked and of its [CLS] row alone; `prefix` names a split."""
    columns: dict[str, np.ndarray] = {}
    for name, changes in (("", all_rows), ("cls_row_", cls_row)):
        column = f"{prefix}{name}{measures.margin.change}"
        columns |= estimate_columns(column, nan_mean(changes), *sample.interval(changes))
    return pd.DataFrame(columns)


def chosen_on_dev(dev: AblationTarget, candidates: Sequence[Head]) -> pd.DataFrame:
    """`choose_relay_heads` on dev, from [CLS]'s unmasked attention and from each candidate masked alone."""
    unmasked = dev.observed_sweep(np.empty((0, *dev.shape), dtype=np.float32), "dependency").cls_attention[0]
    layer, head = np.array(candidates, dtype=int).reshape(-1, 2).T
    attention = unmasked[:, layer - 1, head].astype(np.float64)  # [pair, candidate, quantity]
    outputs = [*single_heads(candidates), *single_heads(candidates, cls_only=True)]
    before, masked = ablated_logits(dev, outputs)
    all_rows, cls_row = np.split(margin_changes(masked, dev.measures, dev.evaluated(before)), 2, axis=1)
    chances = chance_shared_term_share(dev.token_kinds)
    return choose_relay_heads(candidates, attention, chances, all_rows, cls_row, dev.measures, dev.sample)


def choose_relay_heads(
    heads: Sequence[Head],
    attention: np.ndarray,
    chances: np.ndarray,
    all_rows: np.ndarray,
    cls_row: np.ndarray,
    measures: MeasureSet,
    sample: QuerySample,
) -> pd.DataFrame:
    """Choose the relay heads: those whose [CLS] row, masked alone, lowers the margin on dev.

    Args:
        heads: the candidates, (layer, head) [candidate].
        attention: of [CLS], unmasked, [pair, candidate, quantity]; see `ClsAttentionChange`.
        chances: shared tokens among the tokens of terms, [pair].
        all_rows, cls_row: `margin_changes` with each masked, and with its [CLS] row alone masked, [pair, candidate].

    Returns:
        The first columns of `pipeline.tables.dependency.MEDIATION`, a row a candidate. q is corrected over them.
    """
    shares, terms = attention[..., SHARED_TERM_SHARE], attention[..., TERM_MASSES].sum(axis=-1)
    difference = shares - chances[:, None]
    chance = np.where(np.isfinite(shares), chances[:, None], np.nan)
    p = sign_flips(sample.by_query(cls_row)[0].T.astype(np.float32), sample.seed)
    q = q_values(p)
    table = pd.DataFrame(
        {
            "layer": [layer for layer, _ in heads],
            "head": [head for _, head in heads],
            "dev_share": nan_mean(shares),
            "dev_chance": nan_mean(chance),
            **estimate_columns("dev_difference", nan_mean(difference), *sample.interval(difference)),
            "dev_term_mass": nan_mean(terms),
        }
    )
    chosen = {"dev_p": p, "dev_q": q, "is_relay_head": (q < SIGNIFICANCE) & (nan_mean(cls_row) < 0)}
    costs = cost_columns("dev_", all_rows, cls_row, measures, sample)
    return pd.concat([table, costs, pd.DataFrame(chosen)], axis=1)


def strongest_relay_head(relays: pd.DataFrame, measures: MeasureSet) -> Head | None:
    """The relay head whose [CLS] row costs most on dev; None without one."""
    chosen = relays[relays["is_relay_head"].astype(bool)]
    ranked = chosen.sort_values(f"dev_cls_row_{measures.margin.change}", kind="stable")
    return Head.of_row(ranked.iloc[0]) if len(chosen) else None


def relay_dependence(
    heads: Sequence[Head], sums: ClsAttentionSums, targets: Sequence[int], chances: np.ndarray, sample: QuerySample
) -> pd.DataFrame:
    """Dependence on the matchers: the heads' change of attention on test when they are masked, against random groups.

    Args:
        sums: state 1 is the matchers masked, those from 2 on their layer-matched random groups.
        targets: the layers of the sums.
        chances: [pair], NaN where shared_term_share is undefined.

    Returns:
        `share` to `random_entropy_median` of `pipeline.tables.dependency.MEDIATION`, a row a head.
    """
    place = np.array([(targets.index(layer), head) for layer, head in heads])
    share, entropy = (_QuantityOfHeads.of(sums, place, quantity) for quantity in (SHARED_TERM_SHARE, ENTROPY))
    chance, _ = sample.by_query(chances)
    above = share.unmasked - chance[:, None]
    moved = share.means(share.changes)
    sizes = np.abs(moved).T  # [head, masked state]
    return pd.DataFrame(
        {
            "share": share.means(share.unmasked),
            "chance": chance.sum() / share.counts.sum(),
            **share.estimate("difference", above, sample),
            **share.estimate("share_change", share.changes[0], sample),
            "random_groups": len(moved) - 1,
            "random_median": _median(moved[1:]),
            "percentile": [percentile(size[0], size[1:]) for size in sizes],
            "p": [(1 + (size[1:] >= size[0]).sum()) / len(size) for size in sizes],
            "entropy": entropy.means(entropy.unmasked),
            **entropy.estimate("entropy_change", entropy.changes[0], sample),
            "random_entropy_median": _median(entropy.means(entropy.changes)[1:]),
        }
    )


@dataclass(frozen=True)
class _QuantityOfHeads:
    """Sums by query of one quantity of some heads' [CLS] attention.

    Attributes:
        unmasked: [query, head].
        changes: with the matchers masked, then with each random group, [masked state, query, head].
        counts: pairs that define it, [query].
    """

    unmasked: np.ndarray
    changes: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, sums: ClsAttentionSums, place: np.ndarray, quantity: int) -> Self:
        """Select from sums the heads at `place`, indices of target layer and head [head, 2]."""
        states = sums.sums[:, :, place[:, 0], place[:, 1], quantity].astype(np.float64)
        return cls(states[0], states[1:] - states[0], sums.counts[:, quantity].astype(np.float64))

    def means(self, by_query: np.ndarray) -> np.ndarray:
        """Means over pairs, [..., head] of [..., query, head]."""
        return by_query.sum(axis=-2) / self.counts.sum()

    def estimate(self, name: str, by_query: np.ndarray, sample: QuerySample) -> dict[str, np.ndarray]:
        """The columns of the mean of [query, head] and its interval."""
        draws = sample.bootstrap.means(by_query, self.counts[:, None])
        return estimate_columns(name, self.means(by_query), *sample.bootstrap.interval(draws))


def _median(of_groups: np.ndarray) -> np.ndarray | float:
    return np.median(of_groups, axis=0) if len(of_groups) else np.nan


def example_cls_attention(
    test: AblationTarget, matchers: Sequence[Head], relays: pd.DataFrame, count: int
) -> list[dict[str, Any]]:
    """Example [CLS] attention of the strongest relay head, unmasked and with the matchers masked.

    Args:
        relays: as `relay_table` returns it.
        count: pairs at most, chosen as those of the attention maps are.

    Returns:
        One record a pair; none without a relay head.
    """
    strongest = strongest_relay_head(relays, test.measures)
    if strongest is None or not count:
        return []
    pairs = np.array(example_pairs(test.table, test.encoded, test.tokens, count))
    encoded = test.encoded.take(pairs)
    observer = ClsAttention((strongest.layer,), int(encoded.lengths.max()))
    result = test.engine.evaluate(encoded, head_mask(matchers, *test.shape)[None], observer=observer)
    records = []
    for number, pair in enumerate(pairs):
        described = describe_pair(test.tuned.tokenizer, test.encoded, test.table, pair)
        rows = result.cls_attention[:, number, 0, strongest.head, : encoded.lengths[number]].round(6).tolist()
        record = {name: described[name] for name in ("query", "title", "grade")} | strongest._asdict()
        kinds = [TOKEN_KINDS[kind] for kind in test.token_kinds[pair]]
        records.append(record | {"tokens": described["tokens"], "kinds": kinds, "unmasked": rows[0], "masked": rows[1]})
    return records


def dependency_metrics(edges: pd.DataFrame, relays: pd.DataFrame, joint: pd.DataFrame) -> Metrics:
    """From edges.csv's, mediation.csv's and joint_mediation.csv's frames."""
    chosen = relays[relays["is_relay_head"].astype(bool)]
    falls = (chosen["p"] <= SIGNIFICANCE) & (chosen["share_change_high"] < 0) if len(chosen) else np.zeros(0)
    mediated = {(row.outputs, row.rows): row.mediated for row in joint.itertuples()}
    numbers = {
        "strongest_js": edges["js"].max(),
        "relay_share": chosen["share"].mean() if len(chosen) else np.nan,
        "relay_share_change": chosen["share_change"].mean() if len(chosen) else np.nan,
        "relay_entropy_change": chosen["entropy_change"].mean() if len(chosen) else np.nan,
        "relay_mediated": mediated.get((RELAY_HEADS, ALL_ROWS), np.nan),
        "relay_cls_rows_mediated": mediated.get((RELAY_HEADS, CLS_ROW), np.nan),
        "others_mediated": mediated.get((OTHERS, ALL_ROWS), np.nan),
        "others_cls_rows_mediated": mediated.get((OTHERS, CLS_ROW), np.nan),
    }
    counts: Metrics = {"relay_heads": len(chosen), "dependent_relay_heads": int(falls.sum())}
    return counts | {name: none_if_nan(value) for name, value in numbers.items()}
