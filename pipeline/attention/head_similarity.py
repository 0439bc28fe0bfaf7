"""Similarity of heads: Jensen-Shannon distances of their attention rows, and their embedding in a plane.

The distance is the square root of the divergence JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2 in bits: 0 where two
rows are the same, 1 where they share no key (Lin 1991; that its root is a metric: Endres and Schindelin 2003). Clark et
al. 2019 (arXiv 1906.04341) compare heads by the divergence itself. The plane is classical multidimensional scaling.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from sklearn.manifold import ClassicalMDS
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.attention.maps import attention_batches, jensen_shannon_distance
from pipeline.core.heads import every_head
from pipeline.models.checkpoints import dimensions
from pipeline.models.tokenization import EncodedPairs

MAX_PAIRS = 300  # pairs that heads are compared on
MAX_QUERIES = 64  # of a pair: of a longer one, tokens at equal distances
# Weights of each head, over all queries and keys, that heads are compared on: as of MAX_PAIRS pairs of 59 tokens. The
# time is this times half the square of the number of heads.
MAX_WEIGHTS = 2**20
# Weights of a head's comparison with all others, in float64: 1 MiB stays in a core's cache.
BLOCK = 2**17
TINY = torch.finfo(torch.float64).tiny


def compared_pairs(encoded: EncodedPairs) -> EncodedPairs:
    """The first of the pairs, as many as heads are compared on: at least one, few where texts are long."""
    weights = np.minimum(encoded.lengths, MAX_QUERIES) * encoded.lengths
    count = int(np.searchsorted(weights.cumsum(), MAX_WEIGHTS, side="right"))
    return encoded.take(np.arange(min(max(count, 1), MAX_PAIRS, len(encoded))))


def head_distances(model: PreTrainedModel, encoded: EncodedPairs, pad_id: int, max_tokens: int) -> np.ndarray:
    """Jensen-Shannon distances of all pairs of heads, averaged over a pair's queries, then over the pairs.

    Every token is a query, special ones too, MAX_QUERIES at most; each pair weighs the same, however long.

    Args:
        model: a sequence classifier in eval mode with eager attention; only its encoder runs.
        encoded: the pairs, at least one.
        pad_id: vocabulary index of the padding token.
        max_tokens: tokens in a batch, padding counted.

    Returns:
        float64 [layer * head, layer * head], symmetric, 0 on the diagonal, at most 1; heads by layer, then head.
    """
    layers, heads = dimensions(model)
    total = torch.zeros(layers * heads, layers * heads, dtype=torch.float64, device=model.device)
    for pairs, attention in attention_batches(model, encoded, pad_id, max_tokens):
        for rows, weights in _blocks(attention, torch.from_numpy(encoded.lengths[pairs]).to(model.device)):
            _add_distances(total, rows, weights)
    mean = (total / len(encoded)).cpu().numpy()
    return mean + mean.T


def _blocks(attention: tuple[Tensor, ...], lengths: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of a batch's attention rows, float64 [key, layer * head, row], and their weights [row].

    With rows along the last axis every sum over keys is one of whole vectors.
    """
    longest = attention[0].shape[-1]
    compared = _compared_queries(lengths, longest)  # [pair, query]
    weights = (1 / compared.sum(dim=1, keepdim=True).double()).expand_as(compared)[compared]
    by_layer = [layer.transpose(1, 2)[compared] for layer in attention]  # each [row, head, key]
    size = max(1, BLOCK // (longest * len(attention) * by_layer[0].shape[1]))
    for start in range(0, len(weights), size):
        rows = torch.cat([layer[start : start + size] for layer in by_layer], dim=1)
        yield rows.double().permute(2, 1, 0).contiguous(), weights[start : start + size]


def _compared_queries(lengths: Tensor, longest: int) -> Tensor:
    """Which positions are compared as queries, bool [pair, position]: no padding, MAX_QUERIES at equal distances."""
    places = torch.arange(MAX_QUERIES, device=lengths.device)
    spread = places * lengths[:, None] // MAX_QUERIES  # [pair, query]; all positions where there are fewer
    return torch.zeros(len(lengths), longest, dtype=torch.bool, device=lengths.device).scatter_(1, spread, True)


def _add_distances(total: Tensor, rows: Tensor, weights: Tensor) -> None:
    """Add to the upper triangle of total [head, head] the weighted distances of the heads of rows [key, head, row].

    In float64, since the root would lift float32's rounding of two like rows to 1e-3.
    """
    entropy = _entropy(rows.clone())
    for head in range(len(total) - 1):
        mixed = _entropy((rows[:, head + 1 :] + rows[:, head, None]).mul_(0.5))
        total[head, head + 1 :] += jensen_shannon_distance(mixed, entropy[head + 1 :], entropy[head]) @ weights


def _entropy(shares: Tensor) -> Tensor:
    """The entropy in bits of shares [key, ...] over keys; `shares` is overwritten, which saves most of the time."""
    return shares.mul_(shares.clamp_min(TINY).log2_()).sum(0).neg_()


def head_embedding(distances: np.ndarray, layers: int, heads_per_layer: int) -> pd.DataFrame:
    """`pipeline.tables.attention.HEAD_EMBEDDING` without the functions: heads in a plane by their `head_distances`."""
    points, explained = mds_embedding(distances)
    heads = pd.DataFrame(every_head(layers, heads_per_layer), columns=["layer", "head"])
    return heads.assign(mds_1=points[:, 0], mds_2=points[:, 1], explained_1=explained[0], explained_2=explained[1])


def mds_embedding(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classical multidimensional scaling in two dimensions of distances [thing, thing] (Torgerson 1952).

    An axis's sign is free; it is chosen so that the axis's outermost point is positive, and so the same distances give
    the same picture. An axis's share is its eigenvalue over the sum of all eigenvalues' sizes (Mardia, Kent and Bibby
    1979, 14.4.4): distances that no space of points has give negative ones, which then count as variance not shown.

    Returns:
        The points, float64 [thing, axis], centred at 0, the first axis varying most; each axis's share of the variance,
        float64 [axis], NaN where all distances are 0.
    """
    things = len(distances)
    points, shares = np.zeros((things, 2)), np.zeros(2)
    with np.errstate(invalid="ignore"):  # negative eigenvalues have no root, distances of 0 no shares
        scaling = ClassicalMDS(n_components=things, metric="precomputed").fit(distances)
        of_all = scaling.eigenvalues_ / np.abs(scaling.eigenvalues_).sum()
    axes = min(things, 2)
    points[:, :axes] = np.nan_to_num(scaling.embedding_[:, :axes])
    shares[:axes] = np.maximum(of_all[:axes], 0)
    return points, shares
