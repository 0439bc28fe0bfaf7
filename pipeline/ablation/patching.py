"""Mean ablation, resample ablation and activation patching of heads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.work_units import Replacement, same_length_chunks
from pipeline.models.tokenization import QUERY, SPECIAL, TITLE, EncodedPairs
from pipeline.stats.bootstrap import sample_queries

CLS, SEP = 2, 3  # classes of token, as are QUERY 0 and TITLE 1


def token_classes(encoded: EncodedPairs) -> np.ndarray:
    """Class of every token, QUERY, TITLE, CLS or SEP, int64 [token]."""
    classes = np.where(encoded.segment == SPECIAL, SEP, encoded.segment.astype(np.int64))
    classes[encoded.starts[:-1]] = CLS
    return classes


def head_outputs(encoder: AblatableEncoder, states: Tensor, multipliers: np.ndarray) -> Iterator[Tensor]:
    """Contexts of each layer [pair, position, head, head_dim] under multipliers [layer, head].

    The last layer's are those of [CLS] alone where no other is read. `states` are the embedded pairs
    [pair, position, d].
    """
    *inner, last = encoder.layers
    for layer, row in zip(inner, torch.from_numpy(multipliers).to(states), strict=False):
        context = layer.attend(states)
        yield context
        states = layer.behind_heads(layer.project(context * row[:, None], states))
    yield last.read_first(states, last.first_rows(states)) if encoder.reads_cls_alone else last.attend(states)


@dataclass(frozen=True)
class MeanAblation:
    """Mean ablation: mean output over a reference split, by class of token. `means` [layer, class, head, head_dim]."""

    means: np.ndarray

    def contexts(self, encoder: AblatableEncoder, encoded: EncodedPairs) -> list[Tensor]:
        classes = token_classes(encoded).reshape(len(encoded), -1)  # [pair, position]
        return [torch.from_numpy(layer[classes]).to(encoder.device)[None] for layer in self.means]

    def take(self, pairs: np.ndarray) -> Self:
        return self


@torch.inference_mode()
def mean_head_outputs(encoder: AblatableEncoder, encoded: EncodedPairs, max_tokens: int) -> MeanAblation:
    """Mean contexts of the unmasked model over these pairs, `max_tokens` tokens at a time.

    Where the last layer is read at [CLS] alone they are 0 elsewhere, and never read.
    """
    layers, heads = encoder.shape
    sums = np.zeros((layers, 4, heads, encoder.head_size))
    counts = np.zeros((layers, 4, 1, 1))
    unmasked = np.ones((layers, heads), dtype=np.float32)
    classes = token_classes(encoded)
    for pairs in same_length_chunks(encoded.lengths, max_tokens):
        chunk_classes = classes[encoded.positions(pairs)]  # [pair, position]
        for layer, context in enumerate(head_outputs(encoder, encoder.embed_pairs(encoded, pairs), unmasked)):
            positions = chunk_classes[:, : context.shape[1]]
            np.add.at(sums[layer], positions, context.float().cpu().numpy())
            np.add.at(counts[layer], positions, 1)
    return MeanAblation((sums / np.maximum(counts, 1)).astype(np.float32))


@dataclass(frozen=True)
class ResampleAblation:
    """Resample ablation: unmasked output on a donor pair. `donors` of each pair, see `draw_donors`."""

    donors: EncodedPairs

    def contexts(self, encoder: AblatableEncoder, encoded: EncodedPairs) -> list[Tensor]:
        unmasked = np.ones(encoder.shape, dtype=np.float32)
        states = encoder.embed_pairs(self.donors, np.arange(len(self.donors)))
        return [context[None] for context in head_outputs(encoder, states, unmasked)]

    def take(self, pairs: np.ndarray) -> Self:
        return type(self)(self.donors.take(pairs))


def pair_layouts(encoded: EncodedPairs) -> np.ndarray:
    """Layout of each pair as a number, equal for equal length and query/title boundary, int64 [pair]."""
    queries = np.add.reduceat(encoded.segment == QUERY, encoded.starts[:-1])
    titles = np.add.reduceat(encoded.segment == TITLE, encoded.starts[:-1])
    _, layout = np.unique(np.stack([encoded.lengths, queries, titles], axis=1), axis=0, return_inverse=True)
    return layout.reshape(-1)


def draw_donors(encoded: EncodedPairs, seed: int) -> np.ndarray:
    """Random donor of each pair, another pair of the same layout, int64 [pair]; -1 where there is none.

    Among the pairs of a layout the donors are a random cyclic shift, so every pair gives once.
    """
    rng = np.random.default_rng(seed)
    donors = np.full(len(encoded), -1)
    layouts = pair_layouts(encoded)
    for layout in range(layouts.max() + 1):
        pairs = rng.permutation(np.flatnonzero(layouts == layout))
        if len(pairs) > 1:
            donors[pairs] = np.roll(pairs, 1)
    return donors


@dataclass(frozen=True)
class ActivationPatch:
    """Activation patching: output on the same pair in states of multipliers `states` float32 [source, layer, head]."""

    states: np.ndarray

    def contexts(self, encoder: AblatableEncoder, encoded: EncodedPairs) -> list[Tensor]:
        embedded = encoder.embed_pairs(encoded, np.arange(len(encoded)))
        by_state = [list(head_outputs(encoder, embedded, state)) for state in self.states]
        return [torch.stack(layer) for layer in zip(*by_state, strict=True)]

    def take(self, pairs: np.ndarray) -> Self:
        return self


def pairs_with_donors(encoded: EncodedPairs, max_pairs: int, seed: int) -> np.ndarray:
    """Sample of pairs that have a donor, in whole random layouts, at most `max_pairs`."""
    layouts = pair_layouts(encoded)
    shared = np.flatnonzero(np.bincount(layouts)[layouts] > 1)
    return shared[sample_queries(layouts[shared], max_pairs, seed)]


def replacement_logits(
    engine: AblationEngine, encoded: EncodedPairs, reference: EncodedPairs, masks: np.ndarray, resample: Replacement
) -> dict[str, np.ndarray]:
    """Logits [mask, pair, output] of the ablation types "mean", over `reference`, and "resample" among the pairs.

    Args:
        resample: `ResampleAblation` of pairs that share layouts, or `aligned_donors.AlignedResampleAblation` of any.
    """
    replacements = {
        "mean": mean_head_outputs(engine.encoder, reference, engine.batch_tokens),
        "resample": resample,
    }
    return {
        name: engine.evaluate(encoded, masks, replacement=replacement).masked_logits
        for name, replacement in replacements.items()
    }
