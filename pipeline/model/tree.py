"""Interventions as a prefix tree: those that treat the first layers alike share their states there."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Node:
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
    children: list["Node"]


def grow(multipliers: np.ndarray, sources: np.ndarray) -> Node:
    """The tree of interventions; its root treats no layer and its children treat the first.

    Args:
        multipliers: of the heads' outputs, float32 [intervention, layer, head].
        sources: int [intervention, layer, head].
    """
    everyone, none = np.arange(len(multipliers)), np.empty(0, dtype=np.int64)
    return Node(everyone, none, none, none, _children(multipliers, sources, everyone, 0))


def _children(multipliers: np.ndarray, sources: np.ndarray, members: np.ndarray, layer: int) -> list[Node]:
    if layer == multipliers.shape[1]:
        return []
    rows = np.concatenate([multipliers[members, layer], sources[members, layer]], axis=1)
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    nodes = []
    for number, member in enumerate(members[first]):
        heads = np.flatnonzero(multipliers[member, layer] != 1)
        own = members[inverse.reshape(-1) == number]
        nodes.append(
            Node(
                members=own,
                heads=heads,
                removed=1 - multipliers[member, layer, heads],
                sources=sources[member, layer, heads],
                children=_children(multipliers, sources, own, layer + 1),
            )
        )
    return nodes
