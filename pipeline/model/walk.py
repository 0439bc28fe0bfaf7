"""The walk along the tree of interventions over one chunk of pairs: states are stacked, each is computed once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.model.blocks import Block
from pipeline.model.tree import Node

See = Callable[[int, list[np.ndarray], Tensor], None]


@dataclass(frozen=True)
class Walk:
    """The evaluation of a tree on one chunk.

    Attributes:
        layers: the encoder.
        replacements: per layer, contexts [source, pair, position, head, head_dim]; unread without sources.
        stack: states in one matrix product.
        observed: layers whose [CLS] attention is shown to `see`.
        see: called with (layer, the members of each state, rows [state, pair, head, key]).
    """

    layers: Sequence[Block]
    replacements: Sequence[Tensor]
    stack: int
    observed: frozenset[int]
    see: See

    def leaves(self, states: Tensor, nodes: list[Node], layer: int = 0) -> Iterator[tuple[list[np.ndarray], Tensor]]:
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

    def _successors(self, layer: int, context: Tensor, projected: Tensor, piece: list[tuple[int, Node]]) -> Tensor:
        """The children's states [child, pair, position, d].

        What a child's heads lose is taken out of its parent's projected contexts, rank head_dim for each head.
        """
        block = self.layers[layer]
        treated = projected[torch.tensor([parent for parent, _ in piece], device=projected.device)]
        for own, (parent, child) in zip(treated, piece, strict=True):
            if len(child.heads):
                block.take_out(own, self._loss(layer, context[parent], child), child.heads)
        return block.behind_heads(treated)

    def _loss(self, layer: int, context: Tensor, child: Node) -> Tensor:
        """What the child's treatment takes out of contexts [pair, position, head, head_dim], of its touched heads."""
        lost = context[:, :, child.heads]
        for number in np.flatnonzero(child.sources >= 0):
            stand_in = self.replacements[layer][child.sources[number], :, : lost.shape[1], child.heads[number]]
            lost[:, :, number] -= stand_in
        return lost * torch.from_numpy(child.removed).to(lost)[:, None]
