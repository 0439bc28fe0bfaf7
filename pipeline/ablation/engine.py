"""The ablation engine: exact evaluation of many masks on many pairs, in units that walk a prefix tree of the masks."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from threading import Event

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.ablation.encoder import AblatableEncoder, on_device
from pipeline.ablation.precision import Precision
from pipeline.ablation.prefix_tree import StateNode, build_prefix_tree, memberships, restricted
from pipeline.ablation.sweep_cache import SweepCache
from pipeline.ablation.tree_walk import Successors, TreeWalk
from pipeline.ablation.work_units import (
    Observer,
    Replacement,
    Sweep,
    Treatments,
    UnitPlace,
    WorkUnit,
)
from pipeline.ablation.workers import THIS_PROCESS, Arrays, GivenUp, Workers
from pipeline.models.tokenization import EncodedPairs


@dataclass(frozen=True)
class AblationResult:
    """Logits and observations, unmasked and under every mask: row 0 is the unmasked model, row 1 + i is mask i.

    Attributes:
        masks: multipliers of the heads' outputs, [mask, layer, head].
        logits: float32 [1 + mask, pair, output].
        cls_attention: what the observer kept of the rows that it saw, float32 [observed row, pair, layer, ...]; without
            one it holds no row and no layer.
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
        observed: np.ndarray | None = None,
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
            observed: masks that it sees besides the unmasked model, bool [mask]; left out: all.
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
        seen = np.zeros(len(treatments), dtype=bool)
        if observer is not None:
            seen[:] = True if observed is None else np.concatenate([[True], observed])
        sweep = Sweep(encoded, treatments, replacement, observer, seen)
        results = _ResultArrays({LOGITS: len(treatments), CLS_ATTENTION: int(seen.sum())}, len(encoded))
        numbers = {LOGITS: np.arange(len(treatments)), CLS_ATTENTION: np.cumsum(seen) - 1}
        size, description = len(treatments) * len(encoded), f"{len(masks)} masks x {len(encoded)} pairs"
        with tqdm(total=size, desc=description, unit="", unit_scale=True, delay=5, mininterval=5) as progress:
            # A quarter of a stack: the states of several interventions fill it.
            for place, arrays in self._evaluated(sweep, self.batch_tokens // 4):
                for name, values in arrays.items():
                    array = results.array(name, values.shape[2:])
                    array[np.ix_(numbers[name][place.rows], place.pairs)] = values
                progress.update(len(place.rows) * len(place.pairs))
        logits = results.array(LOGITS, (self.encoder.outputs,))
        if unmasked_logits is not None:
            logits = np.concatenate([unmasked_logits[None], logits])
        return AblationResult(masks, logits, results.array(CLS_ATTENTION, (0,)))

    def unmasked(self, encoded: EncodedPairs, observer: Observer | None = None) -> AblationResult:
        """Evaluate the unmasked model only, row 0."""
        return self.evaluate(encoded, np.empty((0, *self.encoder.shape), dtype=np.float32), observer=observer)

    def evaluate_calls(self, encoded: EncodedPairs, masks: np.ndarray, calls: np.ndarray) -> np.ndarray:
        """Evaluate single calls, a row and a pair each; those of pairs of one length share their stacks.

        Args:
            encoded: the pairs.
            masks: as `evaluate` takes them.
            calls: which are evaluated, bool [1 + mask, pair]; row 0 is the unmasked model.

        Returns:
            Logits float32 [call, output], in the order of ``calls.nonzero()``.

        Raises:
            InputError: the workers are lost again and again.
        """
        treatments = Treatments.of_masks(np.concatenate([np.ones((1, *masks.shape[1:])), masks]))
        numbers = np.cumsum(calls).reshape(calls.shape) - 1
        logits = np.empty((calls.sum(), self.encoder.outputs), dtype=np.float32)
        with tqdm(total=len(logits), desc="close calls", unit="", unit_scale=True, delay=5, mininterval=5) as progress:
            for place, arrays in self._evaluated(Sweep(encoded, treatments, calls=calls), self.batch_tokens):
                here = np.ix_(place.rows, place.pairs)
                logits[numbers[here][calls[here]]] = arrays[LOGITS]
                progress.update(len(arrays[LOGITS]))
        return logits

    def _stack(self, states: Tensor) -> int:
        """Most states [state, pair, position, d] in one matrix product."""
        return max(1, self.batch_tokens // (states.shape[1] * states.shape[2]))

    def _classify(self, states: Tensor) -> Tensor:
        """Logits [state, pair, output] of the last layer's states [state, pair, position, d]."""
        return self.encoder.classify(states.flatten(0, 1)).unflatten(0, states.shape[:2])

    def _evaluated(self, sweep: Sweep, chunk_tokens: int) -> Iterator[tuple[UnitPlace, Arrays]]:
        """Results of all units: those that the cache holds, then those that are left to evaluate."""
        places, left = sweep.places(chunk_tokens, self.unit_interventions), []
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
    def evaluate_unit(self, unit: WorkUnit, given_up: Event | None = None) -> Arrays:
        """Results of a unit: LOGITS and what its observer kept, float32 [row, pair, ...]; of single calls [call, ...].

        Raises:
            GivenUp: soon after `given_up` is set.
        """
        rows, device = len(unit.treatments), self.encoder.device
        observer, replacement = unit.observer, unit.replacement
        layers = [] if observer is None else list(observer.layers)
        # They stay on a GPU until all of them are there: it would stand still at each copy.
        logits = torch.empty((rows, len(unit.encoded), self.encoder.outputs), device=device)
        seen: dict[int, Tensor] = {}

        def see(layer: int, nodes: list[StateNode], attention: Tensor) -> None:
            if observer is not None and layer in layers:
                reduced = observer.reduce(layer, attention).float()
                array = seen.setdefault(layer, reduced.new_empty((rows, *reduced.shape[1:])))
                _place(array, nodes, reduced)

        tree = build_prefix_tree(unit.treatments)
        embedded = self.encoder.embed_pairs(unit.encoded, np.arange(len(unit.encoded)))
        if unit.calls is None:
            states, nodes = embedded[None], [tree]
        else:  # of each pair a state of its own, and below it what is called of the tree
            states, nodes = embedded[:, None], [part for part in restricted(tree, unit.calls) if part is not None]
        with self.precision.products(self.encoder.device):
            walk = TreeWalk(
                encoder=self.encoder,
                replacements=[] if replacement is None else replacement.contexts(self.encoder, unit.encoded),
                stack=self._stack(states),
                observed=layers,
                see=see,
            )
            for leaves in walk.leaves(states, nodes):
                if given_up is not None and given_up.is_set():
                    raise GivenUp
                values = self._classify(leaves.states)
                if unit.calls is None:
                    _place(logits, leaves.nodes, values)
                else:
                    _place_calls(logits, leaves, values)
        if unit.calls is not None:
            logits = logits[on_device(unit.calls, device)]
        results = {LOGITS: logits} | (
            {CLS_ATTENTION: torch.stack([seen[layer] for layer in layers], dim=2)} if layers else {}
        )
        return {name: values.cpu().numpy() for name, values in results.items()}


def _place(array: Tensor, nodes: list[StateNode], values: Tensor) -> None:
    """Write the values [node, ...] of nodes into an array [row, ...], for all their members."""
    members, numbers = (on_device(each, array.device) for each in memberships(nodes))
    array[members] = values[numbers]


def _place_calls(array: Tensor, leaves: Successors, values: Tensor) -> None:
    """Write the values [leaf, 1, ...] into an array [row, pair, ...], each to the pair that its walk began with."""
    members, numbers = memberships(leaves.nodes)
    places = on_device(members, array.device), on_device(leaves.parents[numbers], array.device)
    array[places] = values[on_device(numbers, array.device), 0]


LOGITS, CLS_ATTENTION = "logits", "cls_attention"


@dataclass(frozen=True)
class _ResultArrays:
    """Named arrays float32 [row, pair, ...], allocated at first use; `rows`: of each."""

    rows: dict[str, int]
    pairs: int
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self.arrays:
            self.arrays[name] = np.empty((self.rows[name], self.pairs, *shape), dtype=np.float32)
        return self.arrays[name]
