"""The prefix tree of interventions over one chunk of pairs: states are stacked, and each is computed once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.model.blocks import Block


@dataclass(frozen=True)
class Plan:
    """What every intervention does to every head.

    Attributes:
        multipliers: float32 [intervention, layer, head]: 1 keeps, 0 takes the head's output away.
        sources: int64 [intervention, layer, head]: which replacement stands in for what is taken away; -1 for none,
            the zero vector.
    """

    multipliers: np.ndarray
    sources: np.ndarray

    def treatments(self, members: np.ndarray, layer: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The members' distinct treatments of a layer: (multipliers [head], sources [head], members that share it)."""
        rows = np.concatenate([self.multipliers[members, layer], self.sources[members, layer]], axis=1)
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        for number, member in enumerate(members[first]):
            yield self.multipliers[member, layer], self.sources[member, layer], members[inverse.reshape(-1) == number]


@dataclass(frozen=True)
class Child:
    """A state's successor: one treatment of its heads, shared by the `members` (intervention numbers)."""

    state: int
    multipliers: np.ndarray
    sources: np.ndarray
    members: np.ndarray

    @property
    def replaces(self) -> bool:
        return bool((self.sources >= 0).any())


See = Callable[[int, list[np.ndarray], Tensor], None]


@dataclass(frozen=True)
class Walk:
    """The evaluation of a plan on one chunk.

    Attributes:
        layers: the encoder.
        plan: the interventions.
        replacements: per layer, contexts [source, pair, position, head, head_dim]; unread without sources.
        stack: states in one matrix product.
        observed: layers whose [CLS] attention is shown to `see`.
        see: called with (layer, the members of each state, rows [state, pair, head, key]).
    """

    layers: Sequence[Block]
    plan: Plan
    replacements: Sequence[Tensor]
    stack: int
    observed: frozenset[int]
    see: See

    def leaves(
        self, states: Tensor, members: list[np.ndarray], layer: int = 0
    ) -> Iterator[tuple[list[np.ndarray], Tensor]]:
        """Depth first from stacked states: the leaves' members and [CLS] vectors [state, pair, d].

        Args:
            states: the input of `layer`, [state, pair, position, d].
            members: the interventions that each state serves.
        """
        block, is_last = self.layers[layer], layer == len(self.layers) - 1
        context = block.attend_first(states) if is_last else block.attend(states)
        residual = states[:, :, : context.shape[2]]
        if layer in self.observed:
            self.see(layer, members, block.first_rows(states))
        children = [
            Child(state, *treatment)
            for state, own in enumerate(members)
            for treatment in self.plan.treatments(own, layer)
        ]
        for start in range(0, len(children), self.stack):
            piece = children[start : start + self.stack]
            successors = self._successors(layer, context, residual, piece)
            piece_members = [child.members for child in piece]
            if is_last:
                yield piece_members, successors[:, :, 0]
            else:
                yield from self.leaves(successors, piece_members, layer + 1)

    def _successors(self, layer: int, context: Tensor, residual: Tensor, children: list[Child]) -> Tensor:
        """The children's states [child, pair, position, d]."""
        block = self.layers[layer]
        parents = torch.tensor([child.state for child in children], device=context.device)
        multipliers = torch.from_numpy(np.stack([child.multipliers for child in children])).to(context)
        treated = context[parents] * multipliers[:, None, None, :, None]
        for number, child in enumerate(children):
            if child.replaces:
                self._replace(treated[number], child, self.replacements[layer])
        return block.complete(treated, residual[parents])

    @staticmethod
    def _replace(treated: Tensor, child: Child, replacement: Tensor) -> None:
        """Add, in place, the replacements' share to the child's contexts [pair, position, head, head_dim]."""
        positions = treated.shape[1]
        for head in np.flatnonzero(child.sources >= 0):
            share = 1 - float(child.multipliers[head])
            treated[:, :, head] += share * replacement[child.sources[head], :, :positions, head]
