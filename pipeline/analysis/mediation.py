"""Mediation analysis of relay heads: upper heads whose [CLS] attention depends on the term-match heads.

The candidates are the heads of the upper half; which of them are relay heads is chosen on dev, and judged on test.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ablation.cls_attention import MATCHED, SHARED_TERM_SHARE, ClsAttention, chance_shared_term_share
from pipeline.ablation.head_groups import MATCHERS, head_mask
from pipeline.ablation.patching import ActivationPatch
from pipeline.ablation.sweep import AblationTarget
from pipeline.analysis.ablation_effects import Metrics
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.attention.example_pairs import describe_pair, example_pairs
from pipeline.core.heads import Head, every_head
from pipeline.stats.bootstrap import SIGNIFICANCE, QuerySample, estimate_columns, percentile
from pipeline.stats.metrics import logit_margins, nan_mean, none_if_nan

EFFECTS = ("total", "indirect", "direct")


def masked_matchers(groups: pd.DataFrame) -> tuple[Head, ...]:
    """The term-match heads that were masked together, from groups.csv; none where no pair defines the function."""
    rows = groups[(groups["group_type"] == "function") & (groups["group"] == MATCHERS)]
    return tuple(Head.from_short(member) for members in rows["members"] for member in members.split())


def relay_candidates(layers: int, heads: int, matchers: Sequence[Head]) -> list[Head]:
    """Candidates for relay heads: the upper half except the matchers and layer 0; none without matchers."""
    upper = every_head(layers, heads)[layers // 2 * heads :]
    return [head for head in upper if head.layer and head not in matchers] if matchers else []


def relay_table(
    dev: AblationTarget, test: AblationTarget, matchers: Sequence[Head], sums: ClsAttentionSums, margin: float
) -> pd.DataFrame:
    """Table of candidates: their measures on dev, and on test their dependence on the matchers and the mediation.

    Args:
        dev, test: the same model.
        matchers: the heads masked together.
        sums: on test; see `relay_dependence`.
        margin: see `choose_relay_heads`.
    """
    layers, heads = test.shape
    candidates = relay_candidates(layers, heads, matchers)
    tables = [_measured_on_dev(dev, candidates, margin)]
    if candidates:
        chances = chance_shared_term_share(test.token_kinds)
        tables.append(relay_dependence(candidates, sums, list(range(1, layers)), chances, test.sample))
        tables.append(_mediation_on_test(test, matchers, candidates))
    return pd.concat(tables, axis=1)


def _measured_on_dev(dev: AblationTarget, candidates: Sequence[Head], margin: float) -> pd.DataFrame:
    """`choose_relay_heads` from a sweep that masks each candidate alone."""
    masks = np.array([head_mask([head], *dev.shape) for head in candidates], dtype=np.float32)
    result = dev.observed_sweep(masks.reshape(-1, *dev.shape), "dependency")
    layer, head = np.array(candidates, dtype=int).reshape(-1, 2).T
    shares = result.cls_attention[0][:, layer - 1, head, SHARED_TERM_SHARE].astype(np.float64)
    margins = logit_margins(result.logits, dev.grades)
    losses = (margins[1:] - margins[:1]).T
    return choose_relay_heads(candidates, shares, chance_shared_term_share(dev.token_kinds), losses, dev.sample, margin)


def choose_relay_heads(
    heads: Sequence[Head],
    shares: np.ndarray,
    chances: np.ndarray,
    losses: np.ndarray,
    sample: QuerySample,
    margin: float,
) -> pd.DataFrame:
    """Choose the relay heads: [CLS] attention different from chance, and an effect on accuracy, both on dev.

    Args:
        heads: the candidates, (layer, head) [candidate].
        shares: of [CLS]'s attention to terms, what falls on shared ones, [pair, candidate]; NaN where undefined.
        chances: shared tokens among the tokens of terms, [pair].
        losses: change of the gold-logit margin with the candidate masked, [pair, candidate].
        margin: what the difference from chance has to exceed.

    Returns:
        The first columns of `pipeline.tables.dependency.MEDIATION`, a row a candidate. A relay head's difference from
        chance has its interval beyond the margin, its change of the gold-logit margin an interval that leaves out 0.
    """
    difference = shares - chances[:, None]
    low, high = sample.interval(difference)
    loss_low, loss_high = sample.interval(losses)
    chance = np.where(np.isfinite(shares), chances[:, None], np.nan)
    return pd.DataFrame(
        {
            "layer": [layer for layer, _ in heads],
            "head": [head for _, head in heads],
            "dev_share": nan_mean(shares),
            "dev_chance": nan_mean(chance),
            **estimate_columns("dev_difference", nan_mean(difference), low, high),
            **estimate_columns("dev_logit_margin_change", nan_mean(losses), loss_low, loss_high),
            "is_relay_head": ((low > margin) | (high < -margin)) & ((loss_high < 0) | (loss_low > 0)),
        }
    )


def relay_dependence(
    heads: Sequence[Head], sums: ClsAttentionSums, targets: Sequence[int], chances: np.ndarray, sample: QuerySample
) -> pd.DataFrame:
    """Dependence on the matchers: the heads' change of attention on test when they are masked, against random groups.

    Args:
        sums: state 1 is the matchers masked, those from 2 on their layer-matched random groups.
        targets: the layers of the sums.
        chances: [pair], NaN where shared_term_share is undefined.

    Returns:
        `share` to `p` of `pipeline.tables.dependency.MEDIATION`, a row a head.
    """
    layer, head = np.array([(targets.index(layer), head) for layer, head in heads]).T
    counts = sums.counts[:, SHARED_TERM_SHARE].astype(np.float64)
    unmasked = sums.sums[0].astype(np.float64)[:, layer, head, SHARED_TERM_SHARE]  # [query, head]
    masked = range(1, len(sums.sums))
    changed = np.stack([sums.differences(state)[:, layer, head, SHARED_TERM_SHARE] for state in masked])
    chance, _ = sample.by_query(chances)
    difference = unmasked - chance[:, None]
    means = changed.sum(axis=1) / counts.sum()  # [masked state, head]
    queries = sample.bootstrap
    change_ends, difference_ends = (
        queries.interval(queries.means(by_query, counts[:, None])) for by_query in (changed[0], difference)
    )
    sizes = np.abs(means).T  # [head, masked state]
    return pd.DataFrame(
        {
            "share": unmasked.sum(axis=0) / counts.sum(),
            "chance": chance.sum() / counts.sum(),
            **estimate_columns("difference", difference.sum(axis=0) / counts.sum(), *difference_ends),
            **estimate_columns("share_change", means[0], *change_ends),
            "random_groups": len(means) - 1,
            "random_median": np.median(means[1:], axis=0) if len(means) > 1 else np.nan,
            "percentile": [percentile(size[0], size[1:]) for size in sizes],
            "p": [(1 + (size[1:] >= size[0]).sum()) / len(size) for size in sizes],
        }
    )


def _mediation_on_test(test: AblationTarget, matchers: Sequence[Head], candidates: Sequence[Head]) -> pd.DataFrame:
    """`mediation` with each candidate's output taken from the other state: the matchers masked, or none."""
    unmasked, masked, count = head_mask([], *test.shape), head_mask(matchers, *test.shape), len(candidates)
    masks = np.stack([masked, *[unmasked] * count, *[masked] * count])
    sources = np.full(masks.shape, -1)
    for number, (layer, head) in enumerate(candidates, start=1):
        for row, source in ((number, 1), (number + count, 0)):
            masks[row, layer, head], sources[row, layer, head] = 0, source
    states = ActivationPatch(np.stack([unmasked, masked]))
    result = test.engine.evaluate(test.encoded, masks, sources, states)
    matchers_masked, patched, restored = np.split(result.masked_logits, [1, 1 + count])
    # Evaluated alone: among these states its last bit differs, which shows in the effects through a single head.
    unmasked_logits = test.engine.unmasked(test.encoded).unmasked_logits
    return mediation(unmasked_logits, matchers_masked[0], patched, restored, test.grades, test.sample)


def mediation(
    unmasked: np.ndarray,
    masked: np.ndarray,
    patched: np.ndarray,
    restored: np.ndarray,
    grades: np.ndarray,
    sample: QuerySample,
) -> pd.DataFrame:
    """Mediation of the matchers' effect through each head (Pearl 2001; Vig et al. 2020, arXiv 2004.12265).

    On the mean gold-logit margin: total = matchers masked; indirect = unmasked, but the head's output is the one that
    it has when the matchers are masked; direct = matchers masked, the head's output as unmasked.

    Args:
        unmasked, masked: logits [pair, grade]. patched, restored: [head, pair, grade].

    Returns:
        `total` to `mediated_high` of `pipeline.tables.dependency.MEDIATION`, a row a head.
    """
    base = logit_margins(unmasked, grades)
    total = logit_margins(masked, grades) - base
    values = {
        "total": np.broadcast_to(total, (len(patched), len(base))).T,
        "indirect": (logit_margins(patched, grades) - base).T,
        "direct": (logit_margins(restored, grades) - base).T,
    }  # [pair, head] each
    columns: dict[str, np.ndarray] = {}
    resamples: dict[str, np.ndarray] = {}
    for name in EFFECTS:
        resamples[name] = sample.bootstrap.means(*sample.by_query(values[name]))
        columns |= estimate_columns(name, values[name].mean(axis=0), *sample.bootstrap.interval(resamples[name]))
    certain = (columns["total_low"] > 0) | (columns["total_high"] < 0)
    ratio = columns["indirect"] / np.where(certain, columns["total"], np.nan)
    ends = sample.bootstrap.interval(resamples["indirect"] / np.where(certain, resamples["total"], np.nan))
    return pd.DataFrame(columns | estimate_columns("mediated", ratio, *ends))


def example_cls_attention(
    test: AblationTarget, matchers: Sequence[Head], relays: pd.DataFrame, count: int
) -> list[dict[str, Any]]:
    """Example [CLS] attention of the relay head most needed on dev, unmasked and with the matchers masked.

    Args:
        relays: as `relay_table` returns it.
        count: pairs at most, chosen as those of the attention maps are.

    Returns:
        One record a pair; none without a relay head.
    """
    relays = relays[relays["is_relay_head"]]
    if relays.empty or not count:
        return []
    pairs = np.array(example_pairs(test.table, test.encoded, test.tokens, count))
    layer, head = Head.of_row(relays.iloc[int(relays["dev_logit_margin_change"].abs().to_numpy().argmax())])
    encoded = test.encoded.take(pairs)
    observer = ClsAttention((layer,), int(encoded.lengths.max()))
    result = test.engine.evaluate(encoded, head_mask(matchers, *test.shape)[None], observer=observer)
    records = []
    for number, pair in enumerate(pairs):
        described = describe_pair(test.tuned.tokenizer, test.encoded, test.table, pair)
        unmasked, masked = result.cls_attention[:, number, 0, head, : encoded.lengths[number]].round(6).tolist()
        record = {name: described[name] for name in ("query", "title", "grade")} | {"layer": layer, "head": head}
        matched = (test.token_kinds[pair] == MATCHED).tolist()
        records.append(
            record | {"tokens": described["tokens"], "matched": matched, "unmasked": unmasked, "masked": masked}
        )
    return records


def dependency_metrics(edges: pd.DataFrame, relays: pd.DataFrame) -> Metrics:
    """From edges.csv's and mediation.csv's frames."""
    chosen, others = relays[relays.is_relay_head], relays[~relays.is_relay_head.astype(bool)]
    numbers = {
        "strongest_js": edges.js.max(),
        "relay_share": chosen.share.mean() if len(chosen) else np.nan,
        "relay_share_change": chosen.share_change.mean() if len(chosen) else np.nan,
        "relay_mediated": chosen.mediated.median() if len(chosen) else np.nan,
        "others_mediated": others.mediated.median() if len(others) else np.nan,
    }
    counts: Metrics = {
        "relay_heads": len(chosen),
        "dependent_relay_heads": int((chosen.p <= SIGNIFICANCE).sum()) if len(chosen) else 0,
    }
    return counts | {name: none_if_nan(value) for name, value in numbers.items()}
