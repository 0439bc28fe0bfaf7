"""The ablation engine: exact evaluation of many masks, as a prefix tree whose common first layers are computed once."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.precision import Precision
from pipeline.ablation.sweep_cache import SweepCache
from pipeline.ablation.work_units import (
    Observer,
    Replacement,
    Sweep,
    Treatments,
    UnitPlace,
    WorkUnit,
    same_length_chunks,
)
from pipeline.ablation.workers import THIS_PROCESS, Arrays, Workers
from pipeline.models.tokenization import EncodedPairs


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

    @property
    def spares_tokens(self) -> bool:
        """Whether it touches heads, and all of them at [CLS] alone."""
        return len(self.heads) > 0 and bool(self.cls_only.all())


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

    def restricted(self, numbers: np.ndarray) -> "StateNode":
        """The part that leads to some rows, by their new `numbers`, int [row]; -1 for a row that is left out."""
        members = numbers[self.members]
        children = []
        for child in self.children:
            states = [state.restricted(numbers) for state in child.states if (numbers[state.members] >= 0).any()]
            if states:
                children.append(replace(child, states=states))
        return StateNode(members[members >= 0], self.removed, children)


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


_See = Callable[[int, list[np.ndarray], Tensor], None]


def _overlook(layer: int, members: list[np.ndarray], rows: Tensor) -> None:
    """See nothing."""


@dataclass(frozen=True)
class _TreeWalk:
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
    see: _See

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


@dataclass(frozen=True)
class AblationResult:
    """Logits and observations, unmasked and under every mask: row 0 is the unmasked model, row 1 + i is mask i.

    Attributes:
        masks: multipliers of the heads' outputs, [mask, layer, head].
        logits: float32 [1 + mask, pair, output].
        cls_attention: what the observer kept, float32 [1 + mask, pair, layer, ...]; without one it holds no layer.
        precision_report: what a precision other than float32 has to say of its errors, by metric.
    """

    masks: np.ndarray
    logits: np.ndarray
    cls_attention: np.ndarray
    precision_report: dict[str, float | int] = field(default_factory=dict)

    def calibrated(self, temperature: float) -> "AblationResult":
        """The same with logits over a temperature, see `pipeline.stats.temperature`."""
        return replace(self, logits=self.logits / np.float32(temperature))

    @property
    def unmasked_logits(self) -> np.ndarray:
        """Logits of the unmasked model [pair, output]."""
        return self.logits[0]

    @property
    def masked_logits(self) -> np.ndarray:
        """Logits under the masks [mask, pair, output]."""
        return self.logits[1:]


@dataclass(frozen=True)
class AblationEngine:
    """Engine that evaluates masks on a model.

    Attributes:
        encoder: the model, open at its heads.
        batch_tokens: tokens in one matrix product; it bounds the tensors alive, whatever the number of masks (measured
            in docs/benchmarks.md).
        cache: where finished units are kept, so that a killed sweep resumes.
        workers: whoever evaluates the units.
        unit_interventions: of a unit at most.
    """

    encoder: AblatableEncoder
    batch_tokens: int
    cache: SweepCache | None = None
    workers: Workers = THIS_PROCESS
    unit_interventions: int = sys.maxsize

    @property
    def precision(self) -> Precision:
        """The encoder's."""
        return self.encoder.precision

    def evaluate(
        self,
        encoded: EncodedPairs,
        masks: np.ndarray,
        sources: np.ndarray | None = None,
        replacement: Replacement | None = None,
        observer: Observer | None = None,
        cls_only: np.ndarray | None = None,
        neurons: np.ndarray | None = None,
        unmasked_logits: np.ndarray | None = None,
    ) -> AblationResult:
        """Evaluate every pair unmasked and under every mask, pairs in the caller's order.

        Args:
            encoded: the pairs.
            masks: multipliers of the heads' outputs, float [mask, layer, head]: 1 keeps a head, 0 is HEAD-MASK (the
                head outputs the zero vector).
            sources: int [mask, layer, head]: which of the replacement's sources gives what the multiplier takes away,
                -1 for none; left out: 0 everywhere if there is a replacement.
            replacement: see `patching`.
            observer: of [CLS]'s attention.
            cls_only: bool [mask, layer, head]: whether a mask treats the head's output at [CLS] alone, so that its
                other positions keep theirs; left out: nowhere.
            neurons: feed-forward neurons that a mask keeps, bool [mask, layer, neuron]; the others output 0; left out:
                all. Not together with `cls_only`.
            unmasked_logits: row 0 where it is known, float32 [pair, output], so that it is not evaluated again. Not
                together with an observer or a cache.

        Raises:
            InputError: the workers are lost again and again.
        """
        unmasked = np.ones((1 if unmasked_logits is None else 0, *masks.shape[1:]), dtype=np.float32)
        default = -1 if replacement is None else 0
        if sources is None:
            sources = np.full(masks.shape, default)
        if cls_only is None:
            cls_only = np.zeros(masks.shape, dtype=bool)
        if self.encoder.reads_cls_alone:  # the last layer's other positions are left out: all that is treated is [CLS]
            cls_only = np.concatenate([cls_only[:, :-1], np.zeros_like(cls_only[:, -1:])], axis=1)
        if neurons is None:
            neurons = np.ones((*masks.shape[:2], 0), dtype=bool)
        multipliers = np.concatenate([unmasked, masks]).astype(np.float32)
        cls_only = np.concatenate([np.zeros(unmasked.shape, dtype=bool), cls_only])
        treatments = Treatments(
            multipliers=multipliers,
            sources=np.concatenate([np.full(unmasked.shape, default), sources]),
            cls_only=cls_only & (multipliers != 1),
            neurons=np.concatenate([np.ones((len(unmasked), *neurons.shape[1:]), dtype=bool), neurons]),
        )
        sweep = Sweep(encoded, treatments, replacement, observer)
        results = _ResultArrays(len(treatments), len(encoded))
        size, name = len(treatments) * len(encoded), f"{len(masks)} masks x {len(encoded)} pairs"
        with tqdm(total=size, desc=name, unit="", unit_scale=True, delay=5, mininterval=5) as progress:
            for place, arrays in self._evaluated(sweep):
                for name, values in arrays.items():
                    results.array(name, values.shape[2:])[np.ix_(place.rows, place.pairs)] = values
                progress.update(len(place.rows) * len(place.pairs))
        logits = results.array("logits", (self.encoder.outputs,))
        if unmasked_logits is not None:
            logits = np.concatenate([unmasked_logits[None], logits])
        return AblationResult(masks, logits, results.array(CLS_ATTENTION, (0,)))

    def unmasked(self, encoded: EncodedPairs, observer: Observer | None = None) -> AblationResult:
        """Evaluate the unmasked model only, row 0."""
        return self.evaluate(encoded, np.empty((0, *self.encoder.shape), dtype=np.float32), observer=observer)

    @torch.inference_mode()
    def evaluate_calls(self, encoded: EncodedPairs, masks: np.ndarray, calls: np.ndarray) -> np.ndarray:
        """Evaluate single calls, a row and a pair each; those of pairs of one length share their stacks.

        Args:
            encoded: the pairs.
            masks: as `evaluate` takes them.
            calls: which are evaluated, bool [1 + mask, pair]; row 0 is the unmasked model.

        Returns:
            Logits float32 [call, output], in the order of ``calls.nonzero()``.
        """
        rows = np.concatenate([np.ones((1, *masks.shape[1:])), masks]).astype(np.float32)
        tree = build_prefix_tree(Treatments.of_masks(rows))
        numbers = np.where(calls, np.cumsum(calls).reshape(calls.shape) - 1, -1)
        logits = np.empty((calls.sum(), self.encoder.outputs), dtype=np.float32)
        called = np.flatnonzero(calls.any(axis=0))
        with tqdm(total=len(called), desc=f"{len(logits)} calls", unit="pair", delay=5, mininterval=5) as progress:
            for chunk in same_length_chunks(encoded.lengths[called], self.batch_tokens):
                pairs = called[chunk]
                trees = [tree.restricted(numbers[:, pair]) for pair in pairs]
                states = self.encoder.embed_pairs(encoded, pairs)[:, None]  # of each pair one, and below it its tree
                walk = _TreeWalk(self.encoder, [], self._stack(states), [], _overlook)
                with self.precision.products():
                    for members, leaves in walk.leaves(states, trees):
                        for calls_of_state, values in zip(members, self._classify(leaves), strict=True):
                            logits[calls_of_state] = values
                progress.update(len(pairs))
        return logits

    def _stack(self, states: Tensor) -> int:
        """Most states [state, pair, position, d] in one matrix product."""
        return max(1, self.batch_tokens // (states.shape[1] * states.shape[2]))

    def _classify(self, states: Tensor) -> np.ndarray:
        """Logits [state, pair, output] of the last layer's states [state, pair, position, d]."""
        return self.encoder.classify(states.flatten(0, 1)).unflatten(0, states.shape[:2]).cpu().numpy()

    def _evaluated(self, sweep: Sweep) -> Iterator[tuple[UnitPlace, Arrays]]:
        """Results of all units: those that the cache holds, then those that are left to evaluate."""
        places, left = sweep.places(self.batch_tokens // 4, self.unit_interventions), []
        for number, place in enumerate(places):
            arrays = self.cache.load(number) if self.cache else None
            if arrays is None:
                left.append(number)
            else:
                yield place, arrays
        for number, arrays in self.workers.evaluate(self, ((number, sweep.unit(places[number])) for number in left)):
            if self.cache:
                self.cache.save(number, arrays)
            yield places[number], arrays

    @torch.inference_mode()
    def evaluate_unit(self, unit: WorkUnit) -> Arrays:
        """Results of a unit, "logits" and what its observer kept, float32 [row, pair, ...]."""
        results = _ResultArrays(len(unit.treatments), len(unit.encoded))
        observer, replacement = unit.observer, unit.replacement
        layers = [] if observer is None else list(observer.layers)

        def see(layer: int, members: list[np.ndarray], rows: Tensor) -> None:
            if observer is not None and layer in layers:
                reduced = observer.reduce(layer, rows).float().cpu().numpy()
                array = results.array(CLS_ATTENTION, (len(layers), *reduced.shape[2:]))
                for state_members, values in zip(members, reduced, strict=True):
                    array[state_members, :, layers.index(layer)] = values

        root = self.encoder.embed_pairs(unit.encoded, np.arange(len(unit.encoded)))[None]
        with self.precision.products():
            walk = _TreeWalk(
                encoder=self.encoder,
                replacements=[] if replacement is None else replacement.contexts(self.encoder, unit.encoded),
                stack=self._stack(root),
                observed=layers,
                see=see,
            )
            for members, states in walk.leaves(root, [build_prefix_tree(unit.treatments)]):
                for state_members, values in zip(members, self._classify(states), strict=True):
                    results.array("logits", (self.encoder.outputs,))[state_members] = values
        return results.arrays


CLS_ATTENTION = "cls_attention"


@dataclass(frozen=True)
class _ResultArrays:
    """Named arrays float32 [row, pair, ...], allocated at first use."""

    rows: int
    pairs: int
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self.arrays:
            self.arrays[name] = np.empty((self.rows, self.pairs, *shape), dtype=np.float32)
        return self.arrays[name]
