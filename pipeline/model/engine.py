"""The one way to evaluate sets of head masks: exact, and nothing is computed twice.

Interventions that agree on the first layers share their states there: they are walked as a prefix tree (`walk`). A
state's attention is computed once; each distinct treatment of its heads then makes a child, whose feed-forward part is
computed once. Pairs are taken in chunks of one length, so nothing is padded and no attention mask is needed; sibling
states of a chunk are stacked into one matrix product. In the last layer only [CLS] is a query, since only it is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.model.blocks import Blocks
from pipeline.model.chunks import Chunks, NotKept
from pipeline.model.encoding import Encoded
from pipeline.model.tree import Node, grow
from pipeline.model.walk import Walk


class Replacement(Protocol):
    """What stands in for a head's output where its multiplier takes it away."""

    def contexts(self, blocks: Blocks, encoded: Encoded, pairs: np.ndarray) -> list[Tensor]:
        """Per layer [source, pair, position, head, head_dim] (the last layer: position [CLS] suffices)."""
        ...


class Observer(Protocol):
    """Something small kept of the [CLS] attention rows of named layers.

    Attributes:
        name: of the array in the results, whose shape is [intervention, pair, layer, *what reduce returns].
        layers: the layers it wants, in the order of that array.
    """

    @property
    def name(self) -> str: ...

    @property
    def layers(self) -> Sequence[int]: ...

    def reduce(self, layer: int, rows: Tensor, pairs: np.ndarray) -> Tensor:
        """From a layer's rows [state, pair, head, key] to [state, pair, ...]."""
        ...


@dataclass(frozen=True)
class Engine:
    """A model ready to be ablated.

    Attributes:
        blocks: the model, taken apart.
        batch_tokens: tokens in one matrix product; it bounds the tensors alive, whatever the number of interventions
            (measured in docs/benchmarks.md).
        chunks: where finished chunks are kept, so that a killed sweep resumes.
    """

    blocks: Blocks
    batch_tokens: int
    chunks: Chunks = field(default_factory=NotKept)

    @torch.inference_mode()
    def evaluate(
        self,
        encoded: Encoded,
        interventions: np.ndarray,
        sources: np.ndarray | None = None,
        replacement: Replacement | None = None,
        observers: Sequence[Observer] = (),
    ) -> dict[str, np.ndarray]:
        """Every pair under every intervention.

        Args:
            encoded: the pairs.
            interventions: multipliers of the heads' outputs, float [intervention, layer, head]: 1 keeps a head, 0 is
                HEAD-MASK (the head outputs the zero vector).
            sources: int [intervention, layer, head]: which of the replacement's sources stands in for what the
                multiplier takes away, -1 for none; left out: 0 everywhere if there is a replacement.
            replacement: see `replacements`.
            observers: each adds an array to the results.

        Returns:
            ``logits`` [intervention, pair, grade] and the observers' arrays, float32, pairs in the caller's order.
        """
        default = -1 if replacement is None else 0
        tree = grow(
            np.asarray(interventions, dtype=np.float32),
            np.full(interventions.shape, default) if sources is None else np.asarray(sources),
        )
        results = Results(len(interventions), len(encoded))
        title = f"{len(interventions)} interventions"
        with tqdm(total=len(encoded), desc=title, unit="pair", mininterval=5) as progress:
            for number, pairs in enumerate(chunks_of_one_length(encoded.lengths, self.batch_tokens // 4)):
                found = self.chunks.load(number)
                if found is None:
                    found = self._evaluate_chunk(encoded, pairs, tree, replacement, observers)
                    self.chunks.save(number, found)
                for name, values in found.items():
                    results.array(name, values.shape[2:])[:, pairs] = values
                progress.update(len(pairs))
        return results.arrays

    def _evaluate_chunk(
        self,
        encoded: Encoded,
        pairs: np.ndarray,
        tree: Node,
        replacement: Replacement | None,
        observers: Sequence[Observer],
    ) -> dict[str, np.ndarray]:
        results = Results(len(tree.members), len(pairs))

        def see(layer: int, members: list[np.ndarray], rows: Tensor) -> None:
            for observer in observers:
                if layer in observer.layers:
                    reduced = observer.reduce(layer, rows, pairs).float().cpu().numpy()
                    array = results.array(observer.name, (len(observer.layers), *reduced.shape[2:]))
                    place = observer.layers.index(layer)
                    for own, values in zip(members, reduced, strict=True):
                        array[own, :, place] = values

        root = self.blocks.embed_pairs(encoded, pairs)
        walk = Walk(
            layers=self.blocks.layers,
            replacements=[] if replacement is None else replacement.contexts(self.blocks, encoded, pairs),
            stack=max(1, self.batch_tokens // (root.shape[0] * root.shape[1])),
            observed=frozenset(layer for observer in observers for layer in observer.layers),
            see=see,
        )
        for members, first in walk.leaves(root[None], [tree]):
            logits = self.blocks.classify(first.flatten(0, 1)).unflatten(0, first.shape[:2]).cpu().numpy()
            for own, values in zip(members, logits, strict=True):
                results.array("logits", (self.blocks.grades,))[own] = values
        return results.arrays


@dataclass(frozen=True)
class Results:
    """Named arrays float32 [intervention, pair, ...], made when first asked for."""

    interventions: int
    pairs: int
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self.arrays:
            self.arrays[name] = np.empty((self.interventions, self.pairs, *shape), dtype=np.float32)
        return self.arrays[name]


def chunks_of_one_length(lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Pair indices [pair] of one length each, at most `max_tokens` tokens (at least one pair)."""
    for length in np.unique(lengths):
        pairs = np.flatnonzero(lengths == length)
        size = max(1, max_tokens // int(length))
        yield from (pairs[start : start + size] for start in range(0, len(pairs), size))
