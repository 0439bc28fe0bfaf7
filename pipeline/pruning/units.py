"""Units that can be removed: single heads, and blocks of a layer's feed-forward neurons."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.work_units import same_length_chunks
from pipeline.models.removal import Kept
from pipeline.models.tokenization import EncodedPairs

Kind = Literal["head", "neurons"]
HEAD: Kind = "head"
NEURONS: Kind = "neurons"
BLOCKS = 8  # of a layer's neurons; heads are a third of a layer's cost at most


class Unit(NamedTuple):
    """A head, or a block of neurons, by its layer and its number there, from 0; blocks count from the least active."""

    kind: Kind
    layer: int
    number: int


def count_heads(units: Iterable[Unit]) -> int:
    """How many of the units are heads."""
    return sum(unit.kind == HEAD for unit in units)


@dataclass(frozen=True)
class PrunableUnits:
    """Units of a model.

    Attributes:
        heads: of each layer.
        blocks: number of the block that holds each neuron, int [layer, neuron].
        parameters: weights that removing a unit saves, by its kind.
        per_head: times the parameters of the heads that leave at once may leave in neurons with them.
    """

    heads: int
    blocks: np.ndarray
    parameters: dict[Kind, int]
    per_head: float

    @property
    def layers(self) -> int:
        return len(self.blocks)

    def every(self) -> list[Unit]:
        """All units, heads first, by layer, then number."""
        blocks = int(self.blocks.max()) + 1
        return [
            *(Unit(HEAD, layer, number) for layer in range(self.layers) for number in range(self.heads)),
            *(Unit(NEURONS, layer, number) for layer in range(self.layers) for number in range(blocks)),
        ]

    def cost(self, units: Iterable[Unit]) -> int:
        """Parameters that removing the units saves."""
        return sum(self.parameters[unit.kind] for unit in units)

    def blocks_beside(self, heads: int) -> int:
        """Blocks of neurons that may leave at once with so many heads, of about `per_head` times their parameters."""
        return round(self.per_head * heads * self.parameters[HEAD] / self.parameters[NEURONS])

    def kept(self, removed: Collection[Unit]) -> Kept:
        """What is left without the units."""
        heads, neurons = np.ones((self.layers, self.heads), dtype=bool), np.ones(self.blocks.shape, dtype=bool)
        for kind, layer, number in removed:
            if kind == HEAD:
                heads[layer, number] = False
            else:
                neurons[layer] &= self.blocks[layer] != number
        return Kept(heads, neurons)

    def masks(self, removed: Sequence[Collection[Unit]]) -> tuple[np.ndarray, np.ndarray]:
        """Masks of sets of units, heads [set, layer, head], neurons bool [set, layer, neuron]."""
        kept = [self.kept(units) for units in removed]
        return np.stack([one.heads for one in kept]).astype(np.float32), np.stack([one.neurons for one in kept])


def prunable_units(
    encoder: AblatableEncoder, encoded: EncodedPairs, batch_tokens: int, per_head: float
) -> PrunableUnits:
    """Units of an encoder, its neurons in BLOCKS blocks of a size from the least to the most active on the pairs."""
    activity = neuron_activity(encoder, encoded, batch_tokens)
    heads, neurons = encoder.shape[1], activity.shape[1]
    ranks = activity.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    first, size = encoder.layers[0], -(-neurons // BLOCKS)
    hidden = first.output_heads.shape[2]
    parameters = {
        HEAD: 4 * hidden * encoder.head_size,
        NEURONS: first.feed_forward.weights_of_neuron * hidden * size,
    }
    return PrunableUnits(heads, ranks // size, parameters, per_head)


@torch.inference_mode()
def neuron_activity(encoder: AblatableEncoder, encoded: EncodedPairs, batch_tokens: int) -> np.ndarray:
    """Mean size over tokens of what each neuron writes, float64 [layer, neuron].

    That is its mean absolute output times the norm of its column of the projection. Of the last layer only the tokens
    count that the model reads.
    """
    sums = [torch.zeros(len(layer.feed_forward.neurons), dtype=torch.float64) for layer in encoder.layers]
    for pairs in same_length_chunks(encoded.lengths, batch_tokens):
        states = encoder.embed_pairs(encoded, pairs)
        for number, layer in enumerate(encoder.layers):
            read = slice(0, 1) if number == len(sums) - 1 and encoder.reads_cls_alone else slice(None)
            fired, total = layer.fire(layer.project(layer.attend(states), states))
            states = layer.feed_forward.finish(total)
            sums[number] += fired[:, read].abs().flatten(0, 1).sum(dim=0).double().cpu()
    norms = [layer.feed_forward.neurons.double().norm(dim=1).cpu() for layer in encoder.layers]
    return torch.stack([total * norm for total, norm in zip(sums, norms, strict=True)]).numpy()
