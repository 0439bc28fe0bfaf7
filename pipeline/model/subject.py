"""What is ablated: the fine-tuned model and the pairs it is judged on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline import inputs, paths
from pipeline.corpus.split import sample_queries
from pipeline.model import chunks
from pipeline.model.blocks import take_apart
from pipeline.model.checkpoints import dimensions, load_tuned, pick_device
from pipeline.model.encoding import Encoded, encode
from pipeline.model.engine import Engine, Observer
from pipeline.model.precision import audit, sweep_in_bfloat16
from pipeline.params import Ablation, Params


@dataclass(frozen=True)
class Sweep:
    """Logits of a set of masks.

    Attributes:
        masks: float32 [intervention, layer, head].
        logits: float32 [intervention, pair, grade].
        baseline: of the unmasked model, float32 [pair, grade].
        pairs: row numbers of the split, int64 [pair].
    """

    masks: np.ndarray
    logits: np.ndarray
    baseline: np.ndarray
    pairs: np.ndarray


@dataclass(frozen=True)
class Swept:
    """A sweep, what the chosen precision has to report (nothing for float32), and the observers' arrays.

    `observed` arrays are [1 + intervention, pair, ...], the unmasked model first.
    """

    sweep: Sweep
    notes: dict[str, float | int]
    observed: dict[str, np.ndarray]


@dataclass(frozen=True)
class Subject:
    """The model, and the pairs it is judged on: `table` holds their rows of the split, `pairs` the row numbers."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    encoded: Encoded
    pairs: np.ndarray
    table: pd.DataFrame
    settings: Ablation
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, heads)."""
        return dimensions(self.model)

    @property
    def grades(self) -> np.ndarray:
        """Gold, 0 worst, [pair]."""
        return self.table["grade"].to_numpy()

    @property
    def query_ids(self) -> np.ndarray:
        """[pair]."""
        return self.table["query_id"].to_numpy()

    def sweep(self, masks: np.ndarray, stage: str, observers: Sequence[Observer] = ()) -> Swept:
        """Evaluate masks [intervention, layer, head] and the unmasked model; a killed one goes on where it was."""
        precision, size = self.settings.precision, self.settings.batch_tokens
        every = np.concatenate([np.ones((1, *masks.shape[1:]), dtype=masks.dtype), masks])
        parts = (self.encoded.ids, self.encoded.types, self.encoded.starts, every)
        seen = [(observer.name, list(observer.layers)) for observer in observers]
        key = chunks.key(self.model, f"{precision} {size} {self.model.device.type} {seen}", *parts)
        with chunks.kept(paths.SWEEPS / stage, key) as finished:
            if precision == "bfloat16":
                found = sweep_in_bfloat16(self.model, self.encoded, every, size, finished, observers)
                logits, observed = found.logits, found.observed
                notes = audit(self.model, self.encoded, every, size, found, self.seed).report()
            else:
                engine = Engine(take_apart(self.model), size, finished)
                observed, notes = engine.evaluate(self.encoded, every, observers=observers), {}
                logits = observed.pop("logits")
        return Swept(Sweep(masks, logits[1:], logits[0], self.pairs), notes, observed)


def load_subjects(params: Params, *splits: Path) -> list[Subject]:
    """The tuned model, one for all, with up to `ablation.max_pairs` pairs of each prepared split, by whole queries."""
    model, tokenizer = load_tuned(paths.MODEL, pick_device(params.base.device))
    return [_subject(params, split, model, tokenizer) for split in splits]


def _subject(params: Params, split: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Subject:
    table = inputs.pairs(split)
    pairs = sample_queries(table.query_id.to_numpy(), params.ablation.max_pairs, params.base.seed)
    sample = table.iloc[pairs]
    encoded = encode(tokenizer, sample["query"].tolist(), sample["title"].tolist(), params.model.max_length)
    return Subject(model, tokenizer, encoded, pairs, sample, params.ablation, params.base.seed)
