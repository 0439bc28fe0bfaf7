"""Predictions of smaller models on some pairs, beside the whole one's."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from pipeline.ablation.engine import AblationEngine
from pipeline.analysis.subgroups import parts_of
from pipeline.models.tokenization import EncodedPairs
from pipeline.pruning.units import PrunableUnits, Unit
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measures import EvaluationSet, Measure, point_changes

Slice = tuple[str, str, np.ndarray]  # column, value, pairs bool [pair]


@dataclass(frozen=True)
class PrunedPredictions:
    """Predictions without sets of units on some pairs.

    Attributes:
        engine: on the whole model.
        units: of the model.
        temperature: that logits are divided by.
        encoded: the pairs.
        grades: gold, [pair].
        sample: the pairs' queries.
        slices: a column per slicing, whose values are guarded.
    """

    engine: AblationEngine
    units: PrunableUnits
    temperature: float
    encoded: EncodedPairs
    grades: np.ndarray
    sample: QuerySample
    slices: pd.DataFrame

    @cached_property
    def evaluated(self) -> EvaluationSet:
        """The pairs with the whole model's logits."""
        logits = self.engine.unmasked(self.encoded).calibrated(self.temperature).unmasked_logits
        return EvaluationSet(self.grades, logits, self.sample)

    @cached_property
    def parts(self) -> list[tuple[np.ndarray, EvaluationSet]]:
        """All pairs and every slice: which pairs, bool [pair], and themselves."""
        everything = np.ones(len(self.encoded), dtype=bool)
        return [self.evaluated.part(pairs) for pairs in (everything, *(pairs for *_, pairs in self.sliced()))]

    def sliced(self) -> Iterator[Slice]:
        """Every guarded slice."""
        return parts_of(self.slices)

    def logits(self, removed: Sequence[Collection[Unit]]) -> np.ndarray:
        """Logits [set, pair, output] without each set of units."""
        masks, neurons = self.units.masks(removed)
        return self.engine.evaluate(self.encoded, masks, neurons=neurons).calibrated(self.temperature).masked_logits

    def divergences(self, measure: Measure, removed: Sequence[Collection[Unit]]) -> np.ndarray:
        """Distances [set] from the whole model's predictions, the largest of all pairs' and of any slice's.

        A head that one slice alone needs is so worth what it is worth there.
        """
        logits = self.logits(removed)
        return np.max([point_changes(measure, logits[:, kept], part) for kept, part in self.parts], axis=0)


def difference(measure: Measure) -> Measure:
    """The measure with its change as a difference, even where it is relative."""
    return replace(measure, is_relative=False)
