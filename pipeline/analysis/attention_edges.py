"""Edges between heads: how the [CLS] attention of later heads changes when earlier heads are masked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from pipeline.ablation.cls_attention import QUANTITIES, SHARED_TERM_SHARE
from pipeline.stats.bootstrap import Bootstrap, QuerySample, estimate_columns, q_values, query_indicator, sign_flips


@dataclass(frozen=True)
class ClsAttentionSums:
    """Sums of the quantities of [CLS] attention by query; state 0 is the unmasked model, state 1 + i mask i.

    Attributes:
        sums: [state, query, target layer, head, quantity]; pairs that do not define a quantity add nothing.
        counts: pairs that define each quantity, [query, quantity].
    """

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, query_ids: np.ndarray) -> Self:
        """Sum values [state, pair, target layer, head, quantity], NaN in pairs that do not define one."""
        in_query = query_indicator(query_ids).astype(np.float32)
        # Decided by the pair alone, [pair, quantity]; a model of one layer has no target layer to decide by.
        defined = np.isfinite(values[0, :, :1, :1]).all(axis=(1, 2))
        sums = np.stack([np.einsum("pthc,pq->qthc", np.nan_to_num(state), in_query) for state in values])
        return cls(sums, in_query.T @ defined.astype(np.float32))

    def differences(self, state: int) -> np.ndarray:
        """Differences of a state's sums from the unmasked model's, float64 [query, target layer, head, quantity]."""
        return self.sums[state].astype(np.float64) - self.sums[0]

    def means(self, by_query: np.ndarray, queries: Bootstrap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean over pairs, and its interval, of sums [query, target layer, head, quantity]; NaN where undefined."""
        counts = self.counts.astype(np.float64)[:, None, None, :]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = by_query.sum(axis=0) / counts.sum(axis=0)
        return mean, *queries.interval(queries.means(by_query, counts))


def head_edges(
    sums: ClsAttentionSums, sources: Sequence[tuple[int, int]], targets: Sequence[int], sample: QuerySample
) -> pd.DataFrame:
    """Edges from every source head, masked alone, to every head of a later layer.

    Args:
        sums: state 1 + i is source i masked.
        sources: (layer, head). targets: the layers of the sums.

    Returns:
        The frame of `pipeline.tables.dependency.EDGES`; no row in a model of one layer.
    """
    frames, differences = [], []
    for number, (layer, head) in enumerate(sources, start=1):
        later = [index for index, target in enumerate(targets) if target > layer]
        by_query = sums.differences(number)[:, later]
        frame = attention_changes(sums, by_query, [targets[index] for index in later], sample.bootstrap)
        frames.append(frame.assign(source_layer=layer, source_head=head))
        differences.append(by_query[..., SHARED_TERM_SHARE].reshape(len(by_query), -1))
    table = pd.concat(frames, ignore_index=True)
    table["p"] = sign_flips(np.concatenate(differences, axis=1).astype(np.float32).T, sample.seed)
    table["q"] = q_values(table["p"].to_numpy())
    first = ["source_layer", "source_head", "target_layer", "target_head"]
    return table[[*first, *table.columns.drop(first)]]


def attention_changes(
    sums: ClsAttentionSums, by_query: np.ndarray, layers: Sequence[int], queries: Bootstrap
) -> pd.DataFrame:
    """One row a target head of sums [query, target layer, head, quantity]: js and ``<quantity>_change``, intervals."""
    estimates = sums.means(by_query, queries)
    layer, head = np.indices(estimates[0].shape[:2])
    columns = {"target_layer": np.array(layers, dtype=int)[layer.ravel()], "target_head": head.ravel()}
    for number, quantity in enumerate(QUANTITIES):
        name = quantity if quantity == "js" else f"{quantity}_change"
        columns |= estimate_columns(name, *(values[..., number] for values in estimates))
    return pd.DataFrame(columns)
