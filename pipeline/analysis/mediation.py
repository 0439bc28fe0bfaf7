"""High heads that read what low heads extracted: chosen on dev, judged on test, with how much they mediate."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.ablation.cls_attention import MATCH_SHARE
from pipeline.analysis.ablation_effects import Metrics
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.attention.head_labels import Sample
from pipeline.core.heads import Head
from pipeline.stats.bootstrap import percentile
from pipeline.stats.metrics import logit_margins, none_if_nan

EFFECTS = ("total", "indirect", "direct")


def choose_relay_heads(
    heads: Sequence[Head], shares: np.ndarray, chances: np.ndarray, losses: np.ndarray, sample: Sample, margin: float
) -> pd.DataFrame:
    """Which heads are readers: far from chance in either direction, and mattering, both on dev.

    Args:
        heads: the candidates, (layer, head) [candidate].
        shares: of [CLS]'s attention to terms, what falls on shared ones, [pair, candidate]; NaN where undefined.
        chances: shared tokens among the tokens of terms, [pair].
        losses: change of the gold-logit margin with the candidate masked, [pair, candidate].
        margin: what the difference from chance has to exceed.

    Returns:
        One row a candidate: layer, head, dev_share, dev_chance, their difference with interval, dev_margin_change with
        interval, and reader: the first interval lies beyond the margin, the second leaves out 0.
    """
    apart = shares - chances[:, None]
    low, high = sample.interval(apart)
    loss_low, loss_high = sample.interval(losses)
    chance = np.where(np.isfinite(shares), chances[:, None], np.nan)
    return pd.DataFrame(
        {
            "layer": [layer for layer, _ in heads],
            "head": [head for _, head in heads],
            "dev_share": _mean(shares),
            "dev_chance": _mean(chance),
            "dev_difference": _mean(apart),
            "dev_difference_low": low,
            "dev_difference_high": high,
            "dev_margin_change": _mean(losses),
            "dev_margin_change_low": loss_low,
            "dev_margin_change_high": loss_high,
            "reader": ((low > margin) | (high < -margin)) & ((loss_high < 0) | (loss_low > 0)),
        }
    )


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the pairs that define them, [candidate]; NaN where none does."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)


def relay_dependence(
    heads: Sequence[Head], rows: ClsAttentionSums, targets: Sequence[int], chances: np.ndarray, sample: Sample
) -> pd.DataFrame:
    """How far masking the low heads moves what the heads read on test, beside as many random heads.

    Args:
        rows: state 1 is the low heads masked, those from 2 on their layer-matched random groups.
        targets: the layers of the rows.
        chances: [pair], NaN where match_share is undefined.

    Returns:
        One row a head: share, chance, and their difference with interval; share_change with interval; control_draws,
        control_median (of the random groups' changes); percentile of the change's size among theirs and p = (1 +
        random groups that move it as far) / (1 + draws).
    """
    place = [(targets.index(layer), head) for layer, head in heads]
    at = tuple(np.array(place).T)
    counts = rows.counts[:, MATCH_SHARE].astype(np.float64)
    unmasked = rows.sums[0].astype(np.float64)[:, at[0], at[1], MATCH_SHARE]  # [query, head]
    changed = np.stack([rows.differences(state)[:, at[0], at[1], MATCH_SHARE] for state in range(1, len(rows.sums))])
    chance, _ = sample.by_query(chances)
    apart = unmasked - chance[:, None]
    means = changed.sum(axis=1) / counts.sum()  # [state, head]
    low, high = sample.drawn.interval(sample.drawn.means(changed[0], counts[:, None]))
    apart_low, apart_high = sample.drawn.interval(sample.drawn.means(apart, counts[:, None]))
    sizes = np.abs(means)
    return pd.DataFrame(
        {
            "share": unmasked.sum(axis=0) / counts.sum(),
            "chance": chance.sum() / counts.sum(),
            "difference": apart.sum(axis=0) / counts.sum(),
            "difference_low": apart_low,
            "difference_high": apart_high,
            "share_change": means[0],
            "share_change_low": low,
            "share_change_high": high,
            "control_draws": len(means) - 1,
            "control_median": np.median(means[1:], axis=0) if len(means) > 1 else np.nan,
            "percentile": [percentile(one[0], one[1:]) for one in sizes.T],
            "p": [(1 + (one[1:] >= one[0]).sum()) / len(one) for one in sizes.T],
        }
    )


def mediation(
    clean: np.ndarray, low: np.ndarray, patched: np.ndarray, restored: np.ndarray, grades: np.ndarray, sample: Sample
) -> pd.DataFrame:
    """How much of what the low heads do goes through each head (Pearl 2001; Vig et al. 2020, arXiv 2004.12265).

    On the mean gold-logit margin: total = low heads masked; indirect = unmasked, but the head's output is the one that
    it has when the low heads are masked; direct = low heads masked, the head's output as unmasked.

    Args:
        clean, low: logits [pair, grade]. patched, restored: [head, pair, grade].

    Returns:
        One row a head: the three EFFECTS with intervals, mediated = indirect / total with interval; NaN where the total
        effect's interval holds 0.
    """
    base, total = logit_margins(clean[None], grades)[0], logit_margins(low[None], grades)[0]
    values = {
        "total": np.broadcast_to(total - base, (len(patched), len(base))).T,
        "indirect": (logit_margins(patched, grades) - base).T,
        "direct": (logit_margins(restored, grades) - base).T,
    }  # [pair, head] each
    columns: dict[str, np.ndarray] = {}
    drawn: dict[str, np.ndarray] = {}
    for name in EFFECTS:
        drawn[name] = sample.drawn.means(*sample.by_query(values[name]))
        low_end, high_end = sample.drawn.interval(drawn[name])
        columns |= {name: values[name].mean(axis=0), f"{name}_low": low_end, f"{name}_high": high_end}
    told = (columns["total_low"] > 0) | (columns["total_high"] < 0)
    ratio = columns["indirect"] / np.where(told, columns["total"], np.nan)
    ends = sample.drawn.interval(drawn["indirect"] / np.where(told, drawn["total"], np.nan))
    columns |= dict(zip(("mediated", "mediated_low", "mediated_high"), (ratio, *ends), strict=True))
    return pd.DataFrame(columns)


def dependency_metrics(edges: pd.DataFrame, readers: pd.DataFrame) -> Metrics:
    """From edges.csv's and readers.csv's frames."""
    own, others = readers[readers.reader], readers[~readers.reader.astype(bool)]
    numbers = {
        "dependency_strongest_js": edges.js.max(),
        "dependency_readers_share": own.share.mean() if len(own) else np.nan,
        "dependency_readers_share_change": own.share_change.mean() if len(own) else np.nan,
        "dependency_readers_mediated": own.mediated.median() if len(own) else np.nan,
        "dependency_others_mediated": others.mediated.median() if len(others) else np.nan,
    }
    counts: Metrics = {
        "dependency_readers": len(own),
        "dependency_readers_dependent": int((own.p <= 0.05).sum()) if len(own) else 0,
    }
    return counts | {name: none_if_nan(value) for name, value in numbers.items()}
