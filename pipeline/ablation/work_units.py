"""Work units of a sweep: chunks of pairs x runs of interventions, cut alike whoever evaluates them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from torch import Tensor

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.models.tokenization import EncodedPairs


@dataclass(frozen=True, eq=False)
class Treatments:
    """Treatments of all heads and neurons, a row each; equal where all rows are.

    Attributes:
        multipliers: of the heads' outputs, float32 [row, layer, head].
        sources: which of the replacement's sources gives what is taken away, -1 for none, int [row, layer, head].
        cls_only: whether a head is treated at [CLS] alone, bool [row, layer, head]; False where it keeps its output.
        neurons: which are kept, bool [row, layer, neuron]; none are named where all are, [row, layer, 0].
    """

    multipliers: np.ndarray
    sources: np.ndarray
    cls_only: np.ndarray
    neurons: np.ndarray

    @classmethod
    def of_masks(cls, masks: np.ndarray) -> Self:
        """Treatments by masks [row, layer, head] alone: nothing is replaced, all neurons are kept."""
        nothing = np.zeros(masks.shape, dtype=bool)
        return cls(masks.astype(np.float32), np.full(masks.shape, -1), nothing, nothing[..., :0])

    def __len__(self) -> int:
        return len(self.multipliers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Treatments) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def take(self, rows: np.ndarray) -> Self:
        """Some of the rows, in this order."""
        return type(self)(self.multipliers[rows], self.sources[rows], self.cls_only[rows], self.neurons[rows])

    def ranks(self) -> np.ndarray:
        """Ranks among the rows' treatments of a layer's heads, then of its neurons, int64 [layer, 2, row]."""
        layers = range(self.multipliers.shape[1])
        return np.array([[_ranks(self._heads(layer)), _ranks(self.neurons[:, layer])] for layer in layers])

    def prefix_order(self) -> np.ndarray:
        """Row numbers in the order of the prefix tree's leaves, int64 [row]: neighbours share their first layers."""
        return np.lexsort(self.ranks().reshape(-1, len(self))[::-1])

    def _heads(self, layer: int) -> np.ndarray:
        """What decides the output of a layer's heads, float [row, quantity]."""
        return np.concatenate([part[:, layer] for part in (self.multipliers, self.sources, self.cls_only)], axis=1)

    @cached_property
    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        for array in (self.multipliers, self.sources, self.cls_only, self.neurons):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.digest()


def _ranks(keys: np.ndarray) -> np.ndarray:
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


class Replacement(Protocol):
    """Replacement of a masked head's output: mean, resample, patch."""

    def contexts(self, encoder: AblatableEncoder, encoded: EncodedPairs) -> list[Tensor]:
        """Replacements of equally long pairs per layer [source, pair, position, head, head_dim].

        Of the last layer position [CLS] suffices.
        """
        ...

    def take(self, pairs: np.ndarray) -> Self:
        """The replacement on some of the pairs."""
        ...


class Observer(Protocol):
    """Reduction of the [CLS] attention rows of some layers during a sweep.

    Attributes:
        layers: observed, in the order of the resulting array [observed row, pair, layer, *what reduce returns].
    """

    @property
    def layers(self) -> Sequence[int]: ...

    def reduce(self, layer: int, rows: Tensor) -> Tensor:
        """Reduce a layer's rows [state, pair, head, key] of equally long pairs to [state, pair, ...]."""
        ...

    def take(self, pairs: np.ndarray) -> Self:
        """The observer of some of the pairs."""
        ...


@dataclass(frozen=True)
class WorkUnit:
    """Pairs of one length x interventions: all that a worker needs besides the model, and nothing of other units.

    Attributes:
        calls: which are evaluated, bool [row, pair], of every pair at least one; None: all.
    """

    encoded: EncodedPairs
    treatments: Treatments
    replacement: Replacement | None = None
    observer: Observer | None = None
    calls: np.ndarray | None = None


@dataclass(frozen=True)
class UnitPlace:
    """Place of a unit's results in those of its sweep: `rows` int64 [row] x `pairs` int64 [pair]."""

    rows: np.ndarray
    pairs: np.ndarray


@dataclass(frozen=True)
class Sweep:
    """Interventions on pairs: all on all, or single calls.

    Attributes:
        observed: the rows that the observer sees, bool [row]; without an observer None.
        calls: which are evaluated, bool [row, pair]; None: all.
    """

    encoded: EncodedPairs
    treatments: Treatments
    replacement: Replacement | None = None
    observer: Observer | None = None
    observed: np.ndarray | None = None
    calls: np.ndarray | None = None

    def places(self, chunk_tokens: int, interventions: int) -> list[UnitPlace]:
        """Cut the sweep into units: the same whatever computes them, so that they and their results are.

        Args:
            chunk_tokens: of a unit's pairs at most, which are of one length.
            interventions: of a unit at most; the runs are as long as each other, and follow the prefix order. All of
                a unit's are observed, or none.

        Returns:
            Places run by run, and of each run those with the most to do first: at the end no worker is long alone at
            work. None holds a pair of which nothing is called.
        """
        alike = [np.flatnonzero(self._observed), np.flatnonzero(~self._observed)]
        runs = [run for rows in alike if len(rows) for run in self._runs(rows, interventions)]
        return [UnitPlace(rows, pairs) for rows in runs for pairs in self._chunks(rows, chunk_tokens)]

    @property
    def _observed(self) -> np.ndarray:
        return np.zeros(len(self.treatments), dtype=bool) if self.observed is None else self.observed

    def _chunks(self, rows: np.ndarray, chunk_tokens: int) -> list[np.ndarray]:
        """The pairs that are called under some of the rows in chunks, those with the most tokens called first."""
        lengths = self.encoded.lengths
        called = np.ones_like(lengths) if self.calls is None else self.calls[rows].sum(axis=0)
        pairs, tokens = np.flatnonzero(called), lengths * called
        chunks = [pairs[chunk] for chunk in same_length_chunks(lengths[pairs], chunk_tokens)]
        return sorted(chunks, key=lambda chunk: -int(tokens[chunk].sum()))

    def _runs(self, rows: np.ndarray, interventions: int) -> list[np.ndarray]:
        """Cut rows into runs of at most `interventions`."""
        if len(rows) <= interventions:
            return [rows]
        return np.array_split(rows[self.treatments.take(rows).prefix_order()], -(-len(rows) // interventions))

    def unit(self, place: UnitPlace) -> WorkUnit:
        """The unit at a place."""
        observer = self.observer if self._observed[place.rows[0]] else None
        return WorkUnit(
            encoded=self.encoded.take(place.pairs),
            treatments=self.treatments.take(place.rows),
            replacement=None if self.replacement is None else self.replacement.take(place.pairs),
            observer=None if observer is None else observer.take(place.pairs),
            calls=None if self.calls is None else self.calls[np.ix_(place.rows, place.pairs)],
        )


def same_length_chunks(lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Chunks of pair indices [pair] of equal length, at most `max_tokens` tokens (at least one pair)."""
    for length in np.unique(lengths):
        pairs = np.flatnonzero(lengths == length)
        size = max(1, max_tokens // int(length))
        yield from (pairs[start : start + size] for start in range(0, len(pairs), size))
