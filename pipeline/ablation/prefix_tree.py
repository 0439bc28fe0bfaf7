"""The prefix tree of treatments of a model's heads and neurons: those that share their first layers share nodes."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from pipeline.ablation.work_units import Treatments


@dataclass(frozen=True)
class PrefixNode:
    """Node of the prefix tree: a treatment of a layer's heads, after those of the layers below.

    Attributes:
        heads: the heads that it touches, [touched].
        removed: share of each touched head's output that it takes away, 1 - multiplier, float32 [touched].
        sources: which of the replacement's sources gives that share; -1 for none, the zero vector; [touched].
        cls_only: whether only the head's [CLS] row is treated, bool [touched].
        states: treatments of the layer's neurons, after that of its heads.
    """

    heads: np.ndarray
    removed: np.ndarray
    sources: np.ndarray
    cls_only: np.ndarray
    states: list["StateNode"]

    @cached_property
    def spares_tokens(self) -> bool:
        """Whether it touches heads, and all of them at [CLS] alone."""
        return len(self.heads) > 0 and bool(self.cls_only.all())

    @cached_property
    def removes_neurons(self) -> bool:
        """Whether neurons leave too; else it has one state."""
        return any(len(state.removed) for state in self.states)

    def spare(self) -> "PrefixNode":
        """The same treatment of heads for no row, and so of one state."""
        return replace(self, states=[self.states[0].spare()])


@dataclass(frozen=True)
class StateNode:
    """Node of the prefix tree: a treatment of a layer's neurons, and so one state behind the layer.

    Attributes:
        members: numbers of the rows that share it, [member].
        removed: neurons whose outputs are 0, int64 [removed].
        children: treatments of the next layer's heads; none behind the last.
    """

    members: np.ndarray
    removed: np.ndarray
    children: list[PrefixNode]

    def spare(self) -> "StateNode":
        """The same treatment of neurons for no row."""
        return StateNode(self.members[:0], self.removed, [])


def memberships(nodes: Sequence[StateNode]) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are members of some nodes, and the number of the node that each belongs to, int64 [row]."""
    sizes = [len(node.members) for node in nodes]
    return np.concatenate([node.members for node in nodes]), np.repeat(np.arange(len(sizes)), sizes)


def restricted(tree: StateNode, called: np.ndarray) -> list[StateNode | None]:
    """For each pair the part of a tree that leads to the rows that are called of it; None where none is.

    What leads to called rows alone is shared, not copied.

    Args:
        tree: prefix tree of rows, or a part of it.
        called: bool [row, pair].
    """
    rows = called[tree.members]
    whole, some = rows.all(axis=0).tolist(), rows.any(axis=0).tolist()
    if whole == some:
        return [tree if is_called else None for is_called in whole]
    parts = [[restricted(state, called) for state in child.states] for child in tree.children]

    def of_pair(pair: int) -> StateNode | None:
        if whole[pair] or not some[pair]:
            return tree if whole[pair] else None
        children = []
        for child, states in zip(tree.children, parts, strict=True):
            left = [part for state in states if (part := state[pair]) is not None]
            if left:
                is_whole = len(left) == len(child.states) and all(map(operator.is_, left, child.states))
                children.append(child if is_whole else replace(child, states=left))
        return StateNode(tree.members[rows[:, pair]], tree.removed, children)

    return [of_pair(pair) for pair in range(called.shape[1])]


@lru_cache(maxsize=1)  # a sweep's units follow each other
def build_prefix_tree(treatments: Treatments) -> StateNode:
    """Build the prefix tree of rows, each a treatment of all heads and neurons; the root is before the first layer."""
    members = np.arange(len(treatments))
    return StateNode(members, np.empty(0, dtype=np.int64), _children(treatments, treatments.ranks(), members, 0))


def _children(treatments: Treatments, ranks: np.ndarray, members: np.ndarray, layer: int) -> list[PrefixNode]:
    if layer == treatments.multipliers.shape[1]:
        return []
    nodes = []
    for alike in _alike(ranks[layer, 0], members):
        member = alike[0]
        heads = np.flatnonzero(treatments.multipliers[member, layer] != 1)
        states = [
            StateNode(
                members=same,
                removed=np.flatnonzero(~treatments.neurons[same[0], layer]),
                children=_children(treatments, ranks, same, layer + 1),
            )
            for same in _alike(ranks[layer, 1], alike)
        ]
        nodes.append(
            PrefixNode(
                heads=heads,
                removed=1 - treatments.multipliers[member, layer, heads],
                sources=treatments.sources[member, layer, heads],
                cls_only=treatments.cls_only[member, layer, heads],
                states=states,
            )
        )
    return nodes


def _alike(ranks: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """Members [member] parted by their ranks [row], in the ranks' order."""
    if len(members) == 1:
        return [members]
    members = members[np.argsort(ranks[members], kind="stable")]
    return np.split(members, np.flatnonzero(np.diff(ranks[members])) + 1)
