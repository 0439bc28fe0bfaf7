"""Predictions of smaller models on some pairs, beside the whole one's: by masks, or trained again."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.sweep import AblationTarget
from pipeline.analysis.subgroups import column_subgroups, parts_of
from pipeline.models.inference import predict
from pipeline.models.removal import Kept, pruned_model
from pipeline.models.tokenization import EncodedPairs
from pipeline.pruning.recovery import Recovery
from pipeline.pruning.search import Score
from pipeline.pruning.units import PrunableUnits, Unit
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measures import EvaluationSet, Measure, point_changes
from pipeline.tables.pruning import WHOLE

Part = tuple[tuple[str, str], np.ndarray, EvaluationSet]  # slice and value, pairs bool [pair], themselves
KEPT = 2  # trained models at hand: of a ladder the rung that fails and the one before, which goes


@dataclass(frozen=True)
class Predictions(ABC):
    """Predictions without sets of units on some pairs.

    Attributes:
        units: of the model.
        temperature: that logits are divided by.
        encoded: the pairs.
        grades: gold, [pair].
        sample: the pairs' queries.
        slices: a column per slicing, whose values are guarded.
    """

    units: PrunableUnits
    temperature: float
    encoded: EncodedPairs
    grades: np.ndarray
    sample: QuerySample
    slices: pd.DataFrame

    @abstractmethod
    def _whole(self) -> np.ndarray:
        """Logits [pair, output] with all units."""

    @abstractmethod
    def _without(self, removed: Sequence[Collection[Unit]]) -> np.ndarray:
        """Logits [set, pair, output] without each set of units."""

    @abstractmethod
    def smaller_model(self, removed: Collection[Unit]) -> PreTrainedModel:
        """The model without these units, as its predictions are made."""

    @cached_property
    def evaluated(self) -> EvaluationSet:
        """The pairs with the whole model's logits."""
        return EvaluationSet(self.grades, self._whole() / np.float32(self.temperature), self.sample)

    @cached_property
    def parts(self) -> list[Part]:
        """All pairs and every guarded slice."""
        everything = np.ones(len(self.encoded), dtype=bool)
        named = [(WHOLE, everything), *(((column, value), pairs) for column, value, pairs in parts_of(self.slices))]
        return [(name, *self.evaluated.part(pairs)) for name, pairs in named]

    def logits(self, removed: Sequence[Collection[Unit]]) -> np.ndarray:
        """Logits [set, pair, output] without each set of units, over the temperature."""
        return self._without(removed) / np.float32(self.temperature)

    def scores(self, measure: Measure) -> Score:
        """Distances of sets from the whole model's predictions, the largest of all pairs' and of any slice's.

        A head that one slice alone needs is so worth what it is worth there.
        """

        def score(removed: Sequence[Collection[Unit]]) -> np.ndarray:
            logits = self.logits(removed)
            return np.max([point_changes(measure, logits[:, kept], part) for _, kept, part in self.parts], axis=0)

        return score


@dataclass(frozen=True)
class MaskedPredictions(Predictions):
    """Predictions by masks: nothing is trained.

    Attributes:
        model: the whole one. engine: on it.
    """

    model: PreTrainedModel
    engine: AblationEngine

    @classmethod
    def of_target(
        cls, target: AblationTarget, units: PrunableUnits, temperature: float, slicings: Iterable[str]
    ) -> Self:
        """Predictions on a target's pairs; `slicings`: columns of its table whose values are guarded."""
        slices = column_subgroups(target.table, slicings)
        pairs = target.encoded, target.grades, target.sample, slices
        return cls(units, temperature, *pairs, target.tuned.model, target.engine)

    def _whole(self) -> np.ndarray:
        return self._unmasked

    def _without(self, removed: Sequence[Collection[Unit]]) -> np.ndarray:
        masks, neurons = self.units.masks(removed)
        result = self.engine.evaluate(self.encoded, masks, neurons=neurons, unmasked_logits=self._unmasked)
        return result.masked_logits

    def smaller_model(self, removed: Collection[Unit]) -> PreTrainedModel:
        return pruned_model(self.model, self.units.kept(removed))

    @cached_property
    def _unmasked(self) -> np.ndarray:
        return self.engine.unmasked(self.encoded).unmasked_logits


@dataclass(frozen=True)
class RecoveredPredictions(Predictions):
    """Predictions of models that are trained again without the units; the whole one too, by the same steps.

    Attributes:
        recovery: that trains them.
    """

    recovery: Recovery

    @classmethod
    def of_pairs(cls, predictions: Predictions, recovery: Recovery) -> Self:
        """Predictions on the same pairs."""
        same = {field.name: getattr(predictions, field.name) for field in fields(Predictions)}
        return cls(**same, recovery=recovery)

    def _whole(self) -> np.ndarray:
        return self._predicted(self._whole_model)

    def _without(self, removed: Sequence[Collection[Unit]]) -> np.ndarray:
        return np.stack([self._predicted(self.smaller_model(units)) for units in removed])

    def smaller_model(self, removed: Collection[Unit]) -> PreTrainedModel:
        units = tuple(removed)
        if not units:
            return self._whole_model
        if units not in self._trained:
            while len(self._trained) >= KEPT:
                del self._trained[next(iter(self._trained))]
            self._trained[units] = self.recovery.trained(self.units.kept(units))
        return self._trained[units]

    @cached_property
    def _whole_model(self) -> PreTrainedModel:
        return self.recovery.trained(Kept.everything(self.recovery.whole))

    @cached_property
    def _trained(self) -> dict[tuple[Unit, ...], PreTrainedModel]:
        return {}

    def _predicted(self, model: PreTrainedModel) -> np.ndarray:
        return predict(model, self.encoded, self.recovery.tokenizer.pad_token_id)


def difference(measure: Measure) -> Measure:
    """The measure with its change as a difference, even where it is relative."""
    return replace(measure, is_relative=False)
