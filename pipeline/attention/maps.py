"""Attention maps: reduced to scores batch by batch, or whole for a few pairs; distances of their rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from pipeline.models.checkpoints import dimensions
from pipeline.models.inference import collate, length_batches
from pipeline.models.tokenization import EncodedPairs

# Weights of the pair of an index: float32 [query, key, function], or float32 [query] of its rows.
PairWeights = Callable[[int], np.ndarray]
# A batch's pairs and each layer's attention [pair, head, query, key] -> scores [pair, layer, head, function].
Reduction = Callable[[list[int], Iterable[Tensor]], Tensor]
# Attention weights held at a time, over all layers, heads and pairs of a batch: 128 MiB (a longer pair goes alone).
MAX_WEIGHTS = 2**25


def attention_batches(
    model: PreTrainedModel, encoded: EncodedPairs, pad_id: int, max_tokens: int
) -> Iterator[tuple[np.ndarray, tuple[Tensor, ...]]]:
    """Attention of every pair in batches, with a progress bar.

    Args: as of `reduced_attention`.

    Yields:
        The batch's pair indices [pair], and for each layer [pair, head, query, key]. Keys that are padding get 0;
        queries that are padding have rows too, which mean nothing.
    """
    with tqdm(total=len(encoded), desc="attention", unit="pair", delay=5, mininterval=5) as progress:
        for pairs in _bounded_batches(model, encoded.lengths, max_tokens):
            yield pairs, _attention(model, collate(encoded, pairs, pad_id, model.device))
            progress.update(len(pairs))


def reduced_attention(
    model: PreTrainedModel, encoded: EncodedPairs, reductions: Sequence[Reduction], pad_id: int, max_tokens: int
) -> list[np.ndarray]:
    """Scores of every head on every pair by each reduction, from one forward pass a batch.

    Nothing but these scores outlives its batch, and one reduction's weights are held at a time.

    Args:
        model: a sequence classifier in eval mode with eager attention; only its encoder runs.
        encoded: the pairs.
        reductions: of a batch's attention.
        pad_id: vocabulary index of the padding token.
        max_tokens: tokens in a batch, padding counted.

    Returns:
        For each reduction float32 [pair, layer, head, function] in the order of `encoded`.
    """
    order: list[np.ndarray] = []
    parts: list[list[np.ndarray]] = []
    for pairs, layers in attention_batches(model, encoded, pad_id, max_tokens):
        parts.append([reduce(pairs.tolist(), layers).cpu().numpy() for reduce in reductions])
        order.append(pairs)
    restored = np.argsort(np.concatenate(order))
    return [np.concatenate(batches)[restored] for batches in zip(*parts, strict=True)]


def attention_mass(weigh: PairWeights, device: torch.device) -> Reduction:
    """Weighted sums of attention. `weigh`: [query, key, function]; pairs may differ in length, not in functions."""

    def reduce(pairs: list[int], layers: Iterable[Tensor]) -> Tensor:
        weights = _padded([weigh(pair) for pair in pairs], axes=2)
        mass = weights.flatten(1, 2).to(device)  # [pair, query * key, function]
        return torch.stack([layer.flatten(2) @ mass for layer in layers], dim=1)

    return reduce


def attention_entropy(weigh: PairWeights, device: torch.device) -> Reduction:
    """Weighted sums of the entropy of attention rows, in nats until weighed. `weigh`: [query]."""

    def reduce(pairs: list[int], layers: Iterable[Tensor]) -> Tensor:
        rows = _padded([weigh(pair) for pair in pairs], axes=1).unsqueeze(-1).to(device)  # [pair, query, 1]
        return torch.stack([torch.special.entr(layer).sum(-1) @ rows for layer in layers], dim=1)

    return reduce


def attention_maps(model: PreTrainedModel, encoded: EncodedPairs, pairs: Iterable[int]) -> list[np.ndarray]:
    """Whole attention maps of a few pairs, each run alone and so without padding: float16 [layer, head, query, key]."""
    return [_map(model, collate(encoded, np.array([pair]), 0, model.device)) for pair in pairs]


def jensen_shannon_distance(mean: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Jensen-Shannon distance (root of the divergence) of rows, from the entropies in bits of mean and rows."""
    return (mean - (first + second) / 2).clamp(0, 1).sqrt()


def _bounded_batches(model: PreTrainedModel, lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Batches bounded by tokens, cut further where their maps would exceed MAX_WEIGHTS."""
    layers, heads = dimensions(model)
    for pairs in length_batches(lengths, max_tokens):
        size = max(1, MAX_WEIGHTS // (layers * heads * int(lengths[pairs].max()) ** 2))
        yield from (pairs[start : start + size] for start in range(0, len(pairs), size))


@torch.inference_mode()
def _attention(model: PreTrainedModel, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Attention of the encoder, for each layer [pair, head, query, key]; keys that are padding get 0."""
    return model.base_model(**inputs, output_attentions=True).attentions


def _map(model: PreTrainedModel, inputs: dict[str, Tensor]) -> np.ndarray:
    return torch.cat(_attention(model, inputs)).to(torch.float16).cpu().numpy()  # [layer, head, query, key]


def _padded(weights: list[np.ndarray], axes: int) -> Tensor:
    """Weights of a batch's pairs, their first `axes` axes filled up with 0 to the longest pair's positions."""
    width = max(map(len, weights))
    padded = np.zeros((len(weights), *[width] * axes, *weights[0].shape[axes:]), dtype=np.float32)
    for pair, weight in enumerate(weights):
        filled: list[int | slice] = [pair, *[slice(len(weight))] * axes]
        padded[tuple(filled)] = weight
    return torch.from_numpy(padded)
