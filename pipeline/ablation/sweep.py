"""What is ablated: the fine-tuned model and the pairs it is judged on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.ablation import cls_attention, sweep_cache
from pipeline.ablation.cls_attention import QUANTITIES, kinds
from pipeline.ablation.encoder import from_pretrained_model
from pipeline.ablation.engine import AblationEngine, Observer
from pipeline.ablation.mixed_precision import audit_bfloat16, sweep_in_bfloat16
from pipeline.attention.head_functions import Tokens
from pipeline.attention.pair_tokens import pair_tokens
from pipeline.core import paths
from pipeline.core.config import Ablation, Params
from pipeline.models.checkpoints import dimensions, load_tuned, pick_device
from pipeline.models.tokenization import EncodedPairs, encode_pairs
from pipeline.stats.bootstrap import sample_queries
from pipeline.tables.prepare import SPLIT_TABLES


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
class AblationTarget:
    """The model, and the pairs it is judged on: `table` holds their rows of the split, `pairs` the row numbers."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    encoded: EncodedPairs
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
        key = sweep_cache.sweep_key(self.model, f"{precision} {size} {self.model.device.type} {seen}", *parts)
        with sweep_cache.disk_cache(paths.SWEEPS / stage, key) as finished:
            if precision == "bfloat16":
                found = sweep_in_bfloat16(self.model, self.encoded, every, size, finished, observers)
                logits, observed = found.logits, found.observed
                notes = audit_bfloat16(self.model, self.encoded, every, size, found, self.seed).report()
            else:
                engine = AblationEngine(from_pretrained_model(self.model), size, finished)
                observed, notes = engine.evaluate(self.encoded, every, observers=observers), {}
                logits = observed.pop("logits")
        return Swept(Sweep(masks, logits[1:], logits[0], self.pairs), notes, observed)


def load_targets(params: Params, *splits: Path) -> list[AblationTarget]:
    """The tuned model, one for all, with up to `ablation.max_pairs` pairs of each prepared split, by whole queries."""
    model, tokenizer = load_tuned(paths.MODEL, pick_device(params.base.device))
    return [_target(params, split, model, tokenizer) for split in splits]


def _target(params: Params, split: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> AblationTarget:
    table = SPLIT_TABLES[split].read()
    pairs = sample_queries(table.query_id.to_numpy(), params.ablation.max_pairs, params.base.seed)
    sample = table.iloc[pairs]
    encoded = encode_pairs(tokenizer, sample["query"].tolist(), sample["title"].tolist(), params.model.max_length)
    return AblationTarget(model, tokenizer, encoded, pairs, sample, params.ablation, params.base.seed)


def target_tokens(subject: AblationTarget) -> list[Tokens]:
    return pair_tokens(subject.tokenizer, subject.encoded, subject.table)


def target_kinds(subject: AblationTarget) -> list[np.ndarray]:
    """Each pair's `kinds`."""
    return [kinds(one) for one in target_tokens(subject)]


def observed_sweep(
    subject: AblationTarget, masks: np.ndarray, stage: str, kinds_of: Sequence[np.ndarray]
) -> tuple[Swept, np.ndarray]:
    """A sweep, and what each mask does to [CLS]'s attention in every layer but the first.

    The second is [1 + intervention, pair, layer - 1, head, number], the unmasked model first; see `ClsAttentionChange`.
    `kinds_of` are the pairs' `kinds`.
    """
    layers, heads = subject.shape
    if layers == 1:
        return subject.sweep(masks, stage), np.zeros((1 + len(masks), len(subject.encoded), 0, heads, len(QUANTITIES)))
    engine = AblationEngine(from_pretrained_model(subject.model), subject.settings.batch_tokens)
    observer = cls_attention.cls_attention_change(engine, subject.encoded, range(1, layers), kinds_of)
    swept = subject.sweep(masks, stage, [observer])
    return swept, swept.observed[observer.name]
