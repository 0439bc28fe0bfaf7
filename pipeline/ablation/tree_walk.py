"""Evaluation of a prefix tree on a chunk of pairs, depth first, in stacks of states."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.prefix_tree import PrefixNode, StateNode

See = Callable[[int, list[np.ndarray], Tensor], None]


def overlook(layer: int, members: list[np.ndarray], rows: Tensor) -> None:
    """See nothing."""


@dataclass(frozen=True)
class TreeWalk:
    """Evaluation of a prefix tree on one chunk of pairs.

    Attributes:
        encoder: its layers are walked.
        replacements: per layer, contexts [source, pair, position, head, head_dim]; unread without sources.
        stack: states in one matrix product.
        observed: layers whose [CLS] attention is shown to `see`.
        see: called with (layer, the members of each state, rows [state, pair, head, key]).
    """

    encoder: AblatableEncoder
    replacements: Sequence[Tensor]
    stack: int
    observed: Sequence[int]
    see: See

    def leaves(
        self, states: Tensor, nodes: list[StateNode], layer: int = 0
    ) -> Iterator[tuple[list[np.ndarray], Tensor]]:
        """Leaves of a depth-first evaluation from stacked states: their members and states [state, pair, position, d].

        Args:
            states: the input of `layer`, [state, pair, position, d].
            nodes: the node that each state belongs to.
        """
        block, is_last = self.encoder.layers[layer], layer == len(self.encoder.layers) - 1
        cls_suffices = is_last and self.encoder.reads_cls_alone
        if cls_suffices or layer in self.observed:
            rows = block.first_rows(states)
            self.see(layer, [node.members for node in nodes], rows)
        context = block.read_first(states, rows) if cls_suffices else block.attend(states)
        projected = block.project(context, states[:, :, : context.shape[2]])
        family = [(parent, child) for parent, node in enumerate(nodes) for child in node.children]
        for successors_of, spared in ((self._successors, False), (self._cls_successors, True)):
            alike = [(parent, child) for parent, child in family if child.spares_tokens == spared]
            for start in range(0, len(alike), self.stack):
                piece = alike[start : start + self.stack]
                for children, successors in successors_of(layer, context, projected, piece):
                    if is_last:
                        yield [child.members for child in children], successors
                    else:
                        yield from self.leaves(successors, children, layer + 1)

    def _successors(
        self, layer: int, context: Tensor, projected: Tensor, piece: list[tuple[int, PrefixNode]]
    ) -> Iterator[tuple[list[StateNode], Tensor]]:
        """The children's state nodes and states [node, pair, position, d], at most `stack` at a time."""
        block, treated = self.encoder.layers[layer], self._treated(layer, context, projected, piece)
        nodes = [(number, state) for number, (_, child) in enumerate(piece) for state in child.states]
        if not any(len(state.removed) for _, state in nodes):
            yield [state for _, state in nodes], block.behind_heads(treated)
            return
        for start in range(0, len(nodes), self.stack):
            part = nodes[start : start + self.stack]
            numbers, index = torch.tensor([number for number, _ in part], device=treated.device).unique(
                return_inverse=True
            )
            states = [state for _, state in part]
            yield states, block.behind_neurons(treated[numbers], index, [state.removed for state in states])

    def _cls_successors(
        self, layer: int, context: Tensor, projected: Tensor, piece: list[tuple[int, PrefixNode]]
    ) -> Iterator[tuple[list[StateNode], Tensor]]:
        """`_successors` of children that spare the tokens: everywhere but at [CLS] they have their parent's states."""
        parents = torch.tensor([parent for parent, _ in piece], device=projected.device)
        present, index = parents.unique(return_inverse=True)
        block = self.encoder.layers[layer]
        states = block.behind_heads(projected[present])[index]
        at_cls = self._treated(layer, context[:, :, :1], projected[:, :, :1].contiguous(), piece)
        states[:, :, :1] = block.behind_heads(at_cls)
        yield [state for _, child in piece for state in child.states], states

    def _treated(self, layer: int, context: Tensor, projected: Tensor, piece: list[tuple[int, PrefixNode]]) -> Tensor:
        """Projected contexts of the children [child, pair, position, d].

        What children's heads lose is taken out of their parents' projected contexts, rank head_dim for each head, in
        one product for all children that lose as many.
        """
        parents = torch.tensor([parent for parent, _ in piece], device=projected.device)
        treated = projected[parents]
        touched = np.array([len(child.heads) for _, child in piece])
        for count in np.unique(touched[touched > 0]):
            numbers = np.flatnonzero(touched == count)
            children, alike = [piece[number][1] for number in numbers], torch.from_numpy(numbers).to(parents)
            heads = _stacked([child.heads for child in children], parents.device)
            lost = self._loss(layer, context, parents[alike], heads, children)
            if numbers[-1] - numbers[0] < len(numbers):  # neighbours, treated where they lie
                self.encoder.layers[layer].take_out(treated[numbers[0] : numbers[-1] + 1], lost, heads)
            else:
                part = treated[alike]
                self.encoder.layers[layer].take_out(part, lost, heads)
                treated[alike] = part
        return treated

    def _loss(
        self, layer: int, context: Tensor, parents: Tensor, heads: Tensor, children: Sequence[PrefixNode]
    ) -> Tensor:
        """Part of the contexts of their heads that children remove, [child, touched, pair, position, head_dim].

        Args:
            parents: [child].
            heads: that the children touch, as many each, [child, touched].
        """
        lost = context[parents[:, None], :, :, heads]
        sources = _stacked([child.sources for child in children], lost.device)
        if (sources >= 0).any():
            given = self.replacements[layer][sources.clamp(min=0), :, : lost.shape[3], heads]
            lost -= given * (sources >= 0)[..., None, None, None]
        cls_only = _stacked([child.cls_only for child in children], lost.device)
        if cls_only.any():
            lost[:, :, :, 1:] *= ~cls_only[..., None, None, None]
        return lost * _stacked([child.removed for child in children], lost.device).to(lost)[..., None, None, None]


def _stacked(arrays: Sequence[np.ndarray], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).to(device)
