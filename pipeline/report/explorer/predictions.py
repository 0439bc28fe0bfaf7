"""Predictions under every mask as the explorer lists them: grades or ranks, and the queries that suffer."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.report.explorer.contract import LogitChanges, Predictions
from pipeline.report.explorer.packing import pack, quantise_steps
from pipeline.stats.bootstrap import QuerySample, titles_by_query
from pipeline.stats.measures import EvaluationSet, Measure
from pipeline.stats.ranking_measures import gain_changes

Sweep = Mapping[str, np.ndarray]  # arrays of `tables.measures.mask_logits`
MOST_RANKED = 255  # ranks from this one on are shown as this


def head_order(sweep: Sweep) -> np.ndarray:
    """Mask of every head in the sweep of single heads, by layer, then head, [head]."""
    masks = sweep["masks"]
    return masks.reshape(len(masks), -1).argmin(axis=0)


def group_order(sweep: Sweep, members: list[list[int]]) -> np.ndarray:
    """Mask of every group in the sweep of groups, [group]; `members`: heads of each, by layer, then head.

    Raises ValueError: a group was not masked.
    """
    masks = sweep["masks"].reshape(len(sweep["masks"]), -1)
    masked = {tuple(np.flatnonzero(mask == 0).tolist()): number for number, mask in enumerate(masks)}
    missing = [heads for heads in members if tuple(heads) not in masked]
    if missing:
        raise ValueError(f"no mask of the group of heads {missing[0]}")
    return np.array([masked[tuple(heads)] for heads in members], dtype=np.int64)


def predicted(logits: np.ndarray, query_ids: np.ndarray) -> np.ndarray:
    """Predicted grades, or ranks from 1 by score in each query, equal scores in the pairs' order; uint8 [..., pair].

    Args:
        logits: [..., pair, output]; one output is a score.
        query_ids: [pair].
    """
    if logits.shape[-1] > 1:
        return logits.argmax(axis=-1).astype(np.uint8)
    ranks = np.empty(logits.shape[:-1], dtype=np.int64)
    for titles in titles_by_query(query_ids):
        order = np.argsort(-logits[..., titles, 0], axis=-1, kind="stable")
        ranks[..., titles] = np.argsort(order, axis=-1, kind="stable") + 1
    return ranks.clip(max=MOST_RANKED).astype(np.uint8)


def query_changes(sweep: Sweep, masks: np.ndarray, gold: np.ndarray, query_ids: np.ndarray) -> np.ndarray:
    """Change of each query's nDCG@10 under each of the masks, float64 [mask, query by rising id].

    Those below and above 0 are the `queries_worse` and `queries_better` of the tables. Where nDCG is not defined, 0.

    Args:
        masks: by number in the sweep. gold, query_ids: [pair].
    """
    return np.nan_to_num(gain_changes(sweep["masked_logits"][masks], _evaluated(sweep, gold, query_ids)))


def hundredths(changes: np.ndarray) -> np.ndarray:
    """Changes in hundredths as int8, rounded away from 0: what is not 0 stays so."""
    sizes = np.ceil(np.abs(100 * changes).round(9))
    return (np.sign(changes) * np.maximum(sizes, 1)).astype(np.int8)


def queries_counted(sweep: Sweep, gold: np.ndarray, query_ids: np.ndarray, measure: Measure) -> int | None:
    """Queries that a measure is the mean over: those that define it; None of one that is of pairs."""
    if measure.per != "query":
        return None
    unmasked = sweep["unmasked_logits"][None]
    return int(measure.statistics(unmasked, _evaluated(sweep, gold, query_ids))[0, :, 1].sum())


def _evaluated(sweep: Sweep, gold: np.ndarray, query_ids: np.ndarray) -> EvaluationSet:
    return EvaluationSet(gold, sweep["unmasked_logits"], QuerySample(query_ids, resamples=0, seed=0))


def all_predictions(sweep: Sweep, masks: np.ndarray, query_ids: np.ndarray) -> np.ndarray:
    """`predicted`, unmasked first, then under each of the masks, uint8 [1 + mask, pair]."""
    rows = np.concatenate([sweep["unmasked_logits"][None], sweep["masked_logits"][masks]])
    return predicted(rows, query_ids)


def packed_predictions(
    heads: np.ndarray, groups: np.ndarray, group_pairs: np.ndarray, changes: Sequence[np.ndarray] | None
) -> Predictions:
    """Predictions [1 + mask, pair] of heads and groups.

    Args:
        group_pairs: the groups' pairs among those of the heads.
        changes: `query_changes` of heads and of groups, [mask, query].
    """
    of_heads, of_groups = (pack(hundredths(one)) for one in changes) if changes else (None, None)
    return Predictions(
        heads=pack(heads),
        groups=pack(groups),
        group_pairs=group_pairs.tolist(),
        query_changes=of_heads,
        group_query_changes=of_groups,
    )


def logit_changes(sweep: Sweep, masks: np.ndarray, pairs: np.ndarray) -> LogitChanges:
    """What each mask adds to the logits of some pairs, by position in the sweep."""
    unmasked = sweep["unmasked_logits"][pairs]
    whole, steps = quantise_steps(sweep["masked_logits"][masks][:, pairs] - unmasked)
    return LogitChanges(
        outputs=unmasked.shape[-1],
        unmasked=pack(unmasked.astype(np.float32)),
        changes=pack(whole),
        steps=[float(f"{step:.6g}") for step in steps],
    )
