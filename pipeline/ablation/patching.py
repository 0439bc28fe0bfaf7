"""What stands in for a masked head other than nothing: its mean, another pair's output, or another state's."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.models.tokenization import QUERY, SPECIAL, TITLE, EncodedPairs

CLS, SEP = 2, 3  # classes of token, beside QUERY 0 and TITLE 1


def token_classes(encoded: EncodedPairs) -> np.ndarray:
    """QUERY, TITLE, CLS or SEP of every token, int64 [token]."""
    classes = np.where(encoded.segment == SPECIAL, SEP, encoded.segment.astype(np.int64))
    classes[encoded.starts[:-1]] = CLS
    return classes


def head_outputs(blocks: AblatableEncoder, states: Tensor, multipliers: np.ndarray) -> Iterator[Tensor]:
    """Each layer's contexts [pair, position, head, head_dim] in the state that multipliers [layer, head] make.

    The last layer's are those of [CLS] alone. `states` are the embedded pairs [pair, position, d].
    """
    *inner, last = blocks.layers
    for block, row in zip(inner, torch.from_numpy(multipliers).to(states), strict=False):
        context = block.attend(states)
        yield context
        states = block.behind_heads(block.project(context * row[:, None], states))
    yield last.read_first(states, last.first_rows(states))


@dataclass(frozen=True)
class MeanAblation:
    """The head's mean output over a reference split, by class of token. `means` [layer, class, head, head_dim]."""

    means: np.ndarray

    def contexts(self, blocks: AblatableEncoder, encoded: EncodedPairs, pairs: np.ndarray) -> list[Tensor]:
        classes = token_classes(encoded)[encoded.positions(pairs)]  # [pair, position]
        return [torch.from_numpy(layer[classes]).to(blocks.device)[None] for layer in self.means]


@torch.inference_mode()
def mean_head_outputs(blocks: AblatableEncoder, encoded: EncodedPairs, chunks: Iterator[np.ndarray]) -> MeanAblation:
    """Mean contexts of the unmasked model, one chunk of pairs of one length at a time.

    The last layer has them for [CLS] alone: elsewhere they are 0 and never read.
    """
    layers, heads, size = len(blocks.layers), blocks.heads, blocks.head_size
    sums = np.zeros((layers, 4, heads, size))
    counts = np.zeros((layers, 4, 1, 1))
    unmasked = np.ones((layers, heads), dtype=np.float32)
    classes = token_classes(encoded)
    for pairs in chunks:
        places = classes[encoded.positions(pairs)]
        for layer, context in enumerate(head_outputs(blocks, blocks.embed_pairs(encoded, pairs), unmasked)):
            here = places[:, : context.shape[1]]
            np.add.at(sums[layer], here, context.float().cpu().numpy())
            np.add.at(counts[layer], here, 1)
    return MeanAblation((sums / np.maximum(counts, 1)).astype(np.float32))


@dataclass(frozen=True)
class ResampleAblation:
    """The same head's output on a donor pair, in the unmasked model. `donors` int64 [pair], see `draw_donors`."""

    donors: np.ndarray

    def contexts(self, blocks: AblatableEncoder, encoded: EncodedPairs, pairs: np.ndarray) -> list[Tensor]:
        unmasked = np.ones((len(blocks.layers), blocks.heads), dtype=np.float32)
        return [
            found[None] for found in head_outputs(blocks, blocks.embed_pairs(encoded, self.donors[pairs]), unmasked)
        ]


def pair_layouts(encoded: EncodedPairs) -> np.ndarray:
    """A number for each pair, the same where length and query/title boundary are, int64 [pair]."""
    queries = np.add.reduceat(encoded.segment == QUERY, encoded.starts[:-1])
    titles = np.add.reduceat(encoded.segment == TITLE, encoded.starts[:-1])
    _, form = np.unique(np.stack([encoded.lengths, queries, titles], axis=1), axis=0, return_inverse=True)
    return form.reshape(-1)


def draw_donors(encoded: EncodedPairs, seed: int) -> np.ndarray:
    """A donor for each pair, int64 [pair]: another of the same form; -1 where there is none.

    Among the pairs of a form the donors are a random cyclic shift, so every pair gives once.
    """
    rng = np.random.default_rng(seed)
    donors = np.full(len(encoded), -1)
    form = pair_layouts(encoded)
    for number in range(form.max() + 1):
        pairs = rng.permutation(np.flatnonzero(form == number))
        if len(pairs) > 1:
            donors[pairs] = np.roll(pairs, 1)
    return donors


@dataclass(frozen=True)
class ActivationPatch:
    """The head's output on the same pair in other states. `states` float32 [source, layer, head]: their multipliers."""

    states: np.ndarray

    def contexts(self, blocks: AblatableEncoder, encoded: EncodedPairs, pairs: np.ndarray) -> list[Tensor]:
        root = blocks.embed_pairs(encoded, pairs)
        found = [list(head_outputs(blocks, root, state)) for state in self.states]
        return [torch.stack(layer) for layer in zip(*found, strict=True)]
