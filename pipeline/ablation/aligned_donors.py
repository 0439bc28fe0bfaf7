"""Resample ablation between pairs of different lengths: donors whose tokens are aligned by their class.

Passages are of nearly as many layouts as there are, so that few have a donor of their own layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.patching import draw_donors, head_outputs, token_classes
from pipeline.models.tokenization import EncodedPairs


@dataclass(frozen=True)
class AlignedDonors:
    """A donor of each pair, int64 [pair], and which of its positions gives to each token, int64 [token]."""

    pairs: np.ndarray
    positions: np.ndarray


def draw_aligned_donors(encoded: EncodedPairs, seed: int) -> AlignedDonors:
    """Draw a random donor of every pair of two or more, another pair: of the same layout, else the nearest in length.

    Positions are aligned by class of token: [CLS] with [CLS], the i-th [SEP] with the i-th, position i of the n of a
    text with position round(i (m - 1) / (n - 1)) of the donor's m; where the donor's text is empty, with its last
    [SEP].
    """
    rng = np.random.default_rng(seed)
    donors = draw_donors(encoded, seed)
    for pair in np.flatnonzero(donors < 0):
        away = np.abs(encoded.lengths - encoded.lengths[pair])
        away[pair] = np.iinfo(away.dtype).max
        donors[pair] = rng.choice(np.flatnonzero(away == away.min()))
    classes = token_classes(encoded)
    by_pair = [classes[encoded.tokens(pair)] for pair in range(len(encoded))]
    positions = [_aligned(classes, by_pair[donor]) for classes, donor in zip(by_pair, donors, strict=True)]
    return AlignedDonors(donors, np.concatenate(positions))


def _aligned(classes: np.ndarray, donor: np.ndarray) -> np.ndarray:
    """Position of the donor for each token, of both pairs' classes [token]."""
    aligned = np.full(len(classes), len(donor) - 1)
    for kind in np.unique(classes):
        own, given = np.flatnonzero(classes == kind), np.flatnonzero(donor == kind)
        if len(given):
            share = np.arange(len(own)) / max(1, len(own) - 1)
            aligned[own] = given[np.round(share * (len(given) - 1)).astype(int)]
    return aligned


@dataclass(frozen=True)
class AlignedResampleAblation:
    """Resample ablation: unmasked output at the aligned positions of a donor pair, see `draw_aligned_donors`.

    Attributes:
        donors: of each pair.
        positions: of each pair, which of its donor's positions gives to each token, int64 [token].
    """

    donors: EncodedPairs
    positions: Sequence[np.ndarray]

    @classmethod
    def among(cls, encoded: EncodedPairs, drawn: AlignedDonors) -> Self:
        """Resample ablation of pairs by donors drawn among them."""
        return cls(encoded.take(drawn.pairs), np.split(drawn.positions, encoded.starts[1:-1]))

    def contexts(self, encoder: AblatableEncoder, encoded: EncodedPairs) -> list[Tensor]:
        positions = torch.from_numpy(np.stack(self.positions)).to(encoder.device)
        layers: list[Tensor] = []
        for length in np.unique(self.donors.lengths):
            alike = np.flatnonzero(self.donors.lengths == length)
            states = encoder.embed_pairs(self.donors, alike)
            for number, context in enumerate(head_outputs(encoder, states, np.ones(encoder.shape, np.float32))):
                taken = _take(context, positions[alike])
                if number == len(layers):
                    layers.append(taken.new_empty(len(encoded), *taken.shape[1:]))
                layers[number][alike] = taken
        return [layer[None] for layer in layers]

    def take(self, pairs: np.ndarray) -> Self:
        return type(self)(self.donors.take(pairs), [self.positions[pair] for pair in pairs])


def _take(context: Tensor, positions: Tensor) -> Tensor:
    """Contexts [pair, position, head, head_dim] at each pair's positions [pair, position]; of [CLS] alone as they are.

    [CLS] is aligned with [CLS], so that where there is no other position nothing has to be taken.
    """
    if context.shape[1] == 1:
        return context
    return torch.take_along_dim(context, positions[:, :, None, None], dim=1)
