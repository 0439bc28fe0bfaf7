"""Interventions as a prefix tree: those that treat the first layers alike share their states there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.ablation.encoder import AblatableEncoder, EncoderLayer
from pipeline.ablation.sweep_cache import NoCache, SweepCache
from pipeline.models.tokenization import EncodedPairs


@dataclass(frozen=True)
class PrefixNode:
    """One distinct treatment of a layer's heads, behind the treatments that lead to it.

    Attributes:
        members: numbers of the interventions that share it, [member].
        heads: the heads that it touches, [touched].
        removed: share of each touched head's output that it takes away, 1 - multiplier, float32 [touched].
        sources: which of the replacement's sources stands in for that share; -1 for none, the zero vector; [touched].
        children: treatments of the next layer; none behind the last.
    """

    members: np.ndarray
    heads: np.ndarray
    removed: np.ndarray
    sources: np.ndarray
    children: list["PrefixNode"]


def build_prefix_tree(multipliers: np.ndarray, sources: np.ndarray) -> PrefixNode:
    """The tree of interventions; its root treats no layer and its children treat the first.

    Args:
        multipliers: of the heads' outputs, float32 [intervention, layer, head].
        sources: int [intervention, layer, head].
    """
    everyone, none = np.arange(len(multipliers)), np.empty(0, dtype=np.int64)
    return PrefixNode(everyone, none, none, none, _children(multipliers, sources, everyone, 0))


def _children(multipliers: np.ndarray, sources: np.ndarray, members: np.ndarray, layer: int) -> list[PrefixNode]:
    if layer == multipliers.shape[1]:
        return []
    rows = np.concatenate([multipliers[members, layer], sources[members, layer]], axis=1)
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    nodes = []
    for number, member in enumerate(members[first]):
        heads = np.flatnonzero(multipliers[member, layer] != 1)
        own = members[inverse.reshape(-1) == number]
        nodes.append(
            PrefixNode(
                members=own,
                heads=heads,
                removed=1 - multipliers[member, layer, heads],
                sources=sources[member, layer, heads],
                children=_children(multipliers, sources, own, layer + 1),
            )
        )
    return nodes


_Observe = Callable[[int, list[np.ndarray], Tensor], None]


@dataclass(frozen=True)
class _TreeWalk:
    """The evaluation of a tree on one chunk.

    Attributes:
        layers: the encoder.
        replacements: per layer, contexts [source, pair, position, head, head_dim]; unread without sources.
        stack: states in one matrix product.
        observed: layers whose [CLS] attention is shown to `see`.
        see: called with (layer, the members of each state, rows [state, pair, head, key]).
    """

    layers: Sequence[EncoderLayer]
    replacements: Sequence[Tensor]
    stack: int
    observed: frozenset[int]
    see: _Observe

    def leaves(
        self, states: Tensor, nodes: list[PrefixNode], layer: int = 0
    ) -> Iterator[tuple[list[np.ndarray], Tensor]]:
        """Depth first from stacked states: the leaves' members and [CLS] vectors [state, pair, d].

        Args:
            states: the input of `layer`, [state, pair, position, d].
            nodes: the node behind which each state stands.
        """
        block, is_last = self.layers[layer], layer == len(self.layers) - 1
        if is_last:
            rows = block.first_rows(states)
            self.see(layer, [node.members for node in nodes], rows)
            context = block.read_first(states, rows)
        else:
            if layer in self.observed:
                self.see(layer, [node.members for node in nodes], block.first_rows(states))
            context = block.attend(states)
        projected = block.project(context, states[:, :, : context.shape[2]])
        family = [(parent, child) for parent, node in enumerate(nodes) for child in node.children]
        for start in range(0, len(family), self.stack):
            piece = family[start : start + self.stack]
            successors = self._successors(layer, context, projected, piece)
            children = [child for _, child in piece]
            if is_last:
                yield [child.members for child in children], successors[:, :, 0]
            else:
                yield from self.leaves(successors, children, layer + 1)

    def _successors(
        self, layer: int, context: Tensor, projected: Tensor, piece: list[tuple[int, PrefixNode]]
    ) -> Tensor:
        """The children's states [child, pair, position, d].

        What a child's heads lose is taken out of its parent's projected contexts, rank head_dim for each head.
        """
        block = self.layers[layer]
        treated = projected[torch.tensor([parent for parent, _ in piece], device=projected.device)]
        for own, (parent, child) in zip(treated, piece, strict=True):
            if len(child.heads):
                block.take_out(own, self._loss(layer, context[parent], child), child.heads)
        return block.behind_heads(treated)

    def _loss(self, layer: int, context: Tensor, child: PrefixNode) -> Tensor:
        """What the child's treatment takes out of contexts [pair, position, head, head_dim], of its touched heads."""
        lost = context[:, :, child.heads]
        for number in np.flatnonzero(child.sources >= 0):
            stand_in = self.replacements[layer][child.sources[number], :, : lost.shape[1], child.heads[number]]
            lost[:, :, number] -= stand_in
        return lost * torch.from_numpy(child.removed).to(lost)[:, None]


class Replacement(Protocol):
    """What stands in for a head's output where its multiplier takes it away."""

    def contexts(self, blocks: AblatableEncoder, encoded: EncodedPairs, pairs: np.ndarray) -> list[Tensor]:
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
class AblationEngine:
    """A model ready to be ablated.

    Attributes:
        blocks: the model, taken apart.
        batch_tokens: tokens in one matrix product; it bounds the tensors alive, whatever the number of interventions
            (measured in docs/benchmarks.md).
        chunks: where finished chunks are kept, so that a killed sweep resumes.
    """

    blocks: AblatableEncoder
    batch_tokens: int
    chunks: SweepCache = field(default_factory=NoCache)

    @torch.inference_mode()
    def evaluate(
        self,
        encoded: EncodedPairs,
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
        tree = build_prefix_tree(
            np.asarray(interventions, dtype=np.float32),
            np.full(interventions.shape, default) if sources is None else np.asarray(sources),
        )
        results = _ResultArrays(len(interventions), len(encoded))
        title = f"{len(interventions)} interventions"
        with tqdm(total=len(encoded), desc=title, unit="pair", mininterval=5) as progress:
            for number, pairs in enumerate(same_length_chunks(encoded.lengths, self.batch_tokens // 4)):
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
        encoded: EncodedPairs,
        pairs: np.ndarray,
        tree: PrefixNode,
        replacement: Replacement | None,
        observers: Sequence[Observer],
    ) -> dict[str, np.ndarray]:
        results = _ResultArrays(len(tree.members), len(pairs))

        def see(layer: int, members: list[np.ndarray], rows: Tensor) -> None:
            for observer in observers:
                if layer in observer.layers:
                    reduced = observer.reduce(layer, rows, pairs).float().cpu().numpy()
                    array = results.array(observer.name, (len(observer.layers), *reduced.shape[2:]))
                    place = observer.layers.index(layer)
                    for own, values in zip(members, reduced, strict=True):
                        array[own, :, place] = values

        root = self.blocks.embed_pairs(encoded, pairs)
        walk = _TreeWalk(
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
class _ResultArrays:
    """Named arrays float32 [intervention, pair, ...], made when first asked for."""

    interventions: int
    pairs: int
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self.arrays:
            self.arrays[name] = np.empty((self.interventions, self.pairs, *shape), dtype=np.float32)
        return self.arrays[name]


def same_length_chunks(lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Pair indices [pair] of one length each, at most `max_tokens` tokens (at least one pair)."""
    for length in np.unique(lengths):
        pairs = np.flatnonzero(lengths == length)
        size = max(1, max_tokens // int(length))
        yield from (pairs[start : start + size] for start in range(0, len(pairs), size))
