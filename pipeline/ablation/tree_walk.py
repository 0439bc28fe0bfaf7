"""Evaluation of a prefix tree on a chunk of pairs, depth first, in stacks of states."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from pipeline.ablation.encoder import AblatableEncoder, on_device, take_out
from pipeline.ablation.linear import NormalisedLinear
from pipeline.ablation.prefix_tree import PrefixNode, StateNode

See = Callable[[int, list[StateNode], Tensor], None]


_Family = list[tuple[int, PrefixNode]]  # children, each with the number of its parent

# What a child costs by way of its parent's image, which costs 1 itself, as would the child's expanding product: passes
# over what it holds, and a product for each head that it touches. Measured on two cores.
IMAGE_PASSES, IMAGE_HEAD = 0.2, 0.11


def images_pay(family: _Family) -> bool:
    """Whether children cost less by way of their parents' images."""
    parents = {parent for parent, _ in family}
    return len(parents) + sum(IMAGE_PASSES + IMAGE_HEAD * len(child.heads) for _, child in family) < len(family)


class _Parents:
    """A stack in a layer, which the children's states are made of.

    Attributes:
        context: of the heads, [parent, pair, position, head, head_dim].
        projected: the contexts behind the output projection, plus the layer's input, [parent, pair, position, d].
        expansion: of the layer.
    """

    def __init__(self, expansion: NormalisedLinear | None, context: Tensor, projected: Tensor):
        self.context, self.projected, self.expansion = context, projected, expansion
        # A parent and its image, for the next piece, which may begin with its children.
        self._last = -1, projected.new_empty(0)

    def cls(self) -> Self:
        """The same at [CLS] alone."""
        return type(self)(self.expansion, self.context[:, :, :1], self.projected[:, :, :1].contiguous())

    def images(self, numbers: np.ndarray) -> Tensor:
        """Images of parents by their numbers [child], which rise from call to call; [child, pair, position, image]."""
        assert self.expansion is not None, "there are no images"
        number, image = self._last
        known = np.searchsorted(numbers, number, side="right")  # children of the piece's before, which come first
        images = self.projected.new_empty((len(numbers), *self.projected.shape[1:-1], self.expansion.heads.shape[-1]))
        if known:
            images[:known] = image
        if known < len(numbers):
            present, index = np.unique(numbers[known:], return_inverse=True)
            filled = np.pad(present, (0, filled_size(len(present)) - len(present)), mode="edge")
            fresh = self.expansion.image(self.projected[on_device(filled, image.device)])
            torch.index_select(fresh, 0, on_device(index, image.device), out=images[known:])
            self._last = int(present[-1]), fresh[len(present) - 1].clone()
        return images


class Successors(NamedTuple):
    """Nodes behind a layer: of each the number of the state that it came from, and its own state.

    Attributes:
        parents: of a state of the layer's input, or, of leaves, of those that the walk began with, int64 [node].
        nodes: of the prefix tree.
        states: [node, pair, position, d].
    """

    parents: np.ndarray
    nodes: list[StateNode]
    states: Tensor


@dataclass(frozen=True)
class TreeWalk:
    """Evaluation of a prefix tree on one chunk of pairs.

    Attributes:
        encoder: its layers are walked.
        replacements: per layer, contexts [source, pair, position, head, head_dim]; unread without sources.
        stack: states in one matrix product.
        observed: layers whose [CLS] attention is shown to `see`.
        see: called with (layer, the node of each state, rows [state, pair, head, key]).
    """

    encoder: AblatableEncoder
    replacements: Sequence[Tensor]
    stack: int
    observed: Sequence[int]
    see: See

    def leaves(self, states: Tensor, nodes: list[StateNode], layer: int = 0) -> Iterator[Successors]:
        """Leaves of a depth-first evaluation from stacked states.

        Args:
            states: the input of `layer`, [state, pair, position, d].
            nodes: the node that each state belongs to.
        """
        block, is_last = self.encoder.layers[layer], layer == len(self.encoder.layers) - 1
        cls_suffices = is_last and self.encoder.reads_cls_alone
        if cls_suffices or layer in self.observed:
            rows = block.first_rows(states)
            self.see(layer, nodes, rows)
        context = block.read_first(states, rows) if cls_suffices else block.attend(states)
        projected = block.project(context, states[:, :, : context.shape[2]])
        del states  # nobody holds them while the layers above are walked
        parents = _Parents(block.feed_forward.expansion, context, projected)
        for numbers, children, behind in self._successors(layer, nodes, parents):
            if is_last:
                yield Successors(numbers, children, behind)
                continue
            above = self.leaves(behind, children, layer + 1)
            del behind
            for leaves in above:
                yield leaves._replace(parents=numbers[leaves.parents])

    def _successors(self, layer: int, nodes: list[StateNode], parents: _Parents) -> Iterator[Successors]:
        """The nodes behind the layer, at most `stack` at a time."""
        family = [(parent, child) for parent, node in enumerate(nodes) for child in node.children]
        spared = [(parent, child) for parent, child in family if child.spares_tokens]
        others = [(parent, child) for parent, child in family if not (child.spares_tokens or child.removes_neurons)]
        behind = self._behind_images if parents.expansion and images_pay(others) else self._behind_heads
        # Not a tensor of these is held while the layers above are walked, but for what is handed over.
        for states_behind, children in ((behind, others), (self._behind_cls, spared)):
            for piece in pieces(children, self.stack):
                yield Successors(
                    _numbers(piece), [child.states[0] for _, child in piece], states_behind(layer, parents, piece)
                )
        for piece in pieces([(parent, child) for parent, child in family if child.removes_neurons], self.stack):
            yield from self._behind_neurons(layer, parents, piece)

    def _behind_heads(self, layer: int, parents: _Parents, piece: _Family) -> Tensor:
        """States of children [child, pair, position, d]."""
        return self.encoder.layers[layer].behind_heads(self._projected(layer, parents, piece))

    def _behind_images(self, layer: int, parents: _Parents, piece: _Family) -> Tensor:
        """`_behind_heads` by way of the parents' expanding product, less what the children's heads wrote to it."""
        block, expansion = self.encoder.layers[layer], parents.expansion
        assert expansion is not None, "there are no images"
        numbers = _numbers(piece)
        treated, image = parents.projected[on_device(numbers, parents.projected.device)], parents.images(numbers)
        self._take_out(layer, parents.context, piece, [(treated, block.output_heads), (image, expansion.heads)])
        return block.behind_image(image, treated)

    def _behind_cls(self, layer: int, parents: _Parents, piece: _Family) -> Tensor:
        """`_behind_heads` of children that spare the tokens: but for [CLS] they have their parent's states."""
        block = self.encoder.layers[layer]
        device = parents.projected.device
        present, index = (on_device(array, device) for array in np.unique(_numbers(piece), return_inverse=True))
        states = block.behind_heads(parents.projected[present])[index]
        states[:, :, :1] = block.behind_heads(self._projected(layer, parents.cls(), piece))
        return states

    def _behind_neurons(self, layer: int, parents: _Parents, piece: _Family) -> Iterator[Successors]:
        """Children's states of all their treatments of neurons."""
        treated = self._projected(layer, parents, piece)
        nodes = [(number, state) for number, (_, child) in enumerate(piece) for state in child.states]
        for part in pieces(nodes, self.stack):
            numbers, index = np.unique(_numbers(part), return_inverse=True)
            states = [state for _, state in part]
            yield Successors(
                _numbers(piece)[_numbers(part)],
                states,
                self.encoder.layers[layer].behind_neurons(
                    treated[on_device(numbers, treated.device)], index, [state.removed for state in states]
                ),
            )

    def _projected(self, layer: int, parents: _Parents, piece: _Family) -> Tensor:
        """Projected contexts of children [child, pair, position, d]."""
        treated = parents.projected[on_device(_numbers(piece), parents.projected.device)]
        self._take_out(layer, parents.context, piece, [(treated, self.encoder.layers[layer].output_heads)])
        return treated

    def _take_out(self, layer: int, context: Tensor, piece: _Family, written: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take what children's heads lose out of what was written of their parents' contexts, in place.

        Rank head_dim for each head, in one product for all children that lose the same heads, or as many.

        Args:
            written: [child, pair, position, out], each with the weights that wrote it, [head, head_dim, out].
        """
        for numbers, heads in alike([child.heads for _, child in piece]):
            children = [piece[number] for number in numbers]
            index = on_device(heads, context.device)
            lost = self._loss(layer, context, children, index.expand(len(children), -1))
            for target, weights in written:
                if numbers[-1] - numbers[0] < len(numbers):  # neighbours, treated where they lie
                    take_out(target[numbers[0] : numbers[-1] + 1], lost, weights[index])
                else:
                    places = on_device(numbers, context.device)
                    part = target[places]
                    take_out(part, lost, weights[index])
                    target[places] = part

    def _loss(self, layer: int, context: Tensor, family: _Family, heads: Tensor) -> Tensor:
        """Part of the contexts of their heads that children remove, [child, touched, pair, position, head_dim].

        Args:
            heads: that the children touch, as many each, [child, touched].
        """
        device, children = context.device, [child for _, child in family]
        lost = context[on_device(_numbers(family), device)[:, None], :, :, heads]
        sources = np.stack([child.sources for child in children])
        if (sources >= 0).any():
            numbers = on_device(sources, device)
            given = self.replacements[layer][numbers.clamp(min=0), :, : lost.shape[3], heads]
            lost -= given * (numbers >= 0)[..., None, None, None]
        cls_only = np.stack([child.cls_only for child in children])
        if cls_only.any():
            lost[:, :, :, 1:] *= on_device(~cls_only, device)[..., None, None, None]
        removed = np.stack([child.removed for child in children])
        return lost * on_device(removed, device).to(lost)[..., None, None, None]


def alike(heads: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Children that one product treats, by the heads that each touches.

    Yields:
        Numbers of children, int64 [child], and the heads that all of them touch, [touched], where that makes few
        products of many; else those of each, as many, [child, touched].
    """
    sets: dict[bytes, list[int]] = {}
    sizes: dict[int, list[int]] = {}
    for number, touched in enumerate(heads):
        if len(touched):
            sets.setdefault(touched.tobytes(), []).append(number)
            sizes.setdefault(len(touched), []).append(number)
    if 2 * len(sets) <= sum(map(len, sizes.values())):
        yield from ((np.array(numbers), heads[numbers[0]]) for numbers in sets.values())
    else:
        yield from ((np.array(numbers), np.stack([heads[number] for number in numbers])) for numbers in sizes.values())


Node = TypeVar("Node", PrefixNode, StateNode)


def pieces(nodes: list[tuple[int, Node]], most: int) -> Iterator[list[tuple[int, Node]]]:
    """Cut nodes, each with the number of its parent, into pieces of at most `most`, the last filled with spare nodes.

    So that sizes are few: oneDNN keeps a program for every number of rows that it multiplied, and the C library freed
    memory of every size, and both would grow with the number of interventions.
    """
    for start in range(0, len(nodes), most):
        piece = nodes[start : start + most]
        parent, node = piece[-1]
        yield piece + [(parent, node.spare())] * (min(most, filled_size(len(piece))) - len(piece))


def filled_size(count: int) -> int:
    """The least of the sizes 1, 2, 3, 4, 6, 8, 12, ..., two of each doubling, that holds `count`."""
    step = 1 << max(0, (count - 1).bit_length() - 2)
    return -(-count // step) * step


def _numbers(nodes: Sequence[tuple[int, PrefixNode | StateNode]]) -> np.ndarray:
    """Number of each node's parent, int64 [node]."""
    return np.array([parent for parent, _ in nodes], dtype=np.int64)
