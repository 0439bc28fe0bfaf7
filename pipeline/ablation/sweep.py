"""What is ablated, the fine-tuned model on the pairs of a split, and sweeps of masks over it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.ablation import cls_attention, sweep_cache
from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine, AblationResult, Observer
from pipeline.ablation.mixed_precision import audit_bfloat16, sweep_in_bfloat16
from pipeline.attention.head_functions import Tokens, pair_tokens
from pipeline.core import paths
from pipeline.core.config import Ablation, Params
from pipeline.models.checkpoints import load_tuned, pick_device
from pipeline.models.tokenization import EncodedPairs, encode_split
from pipeline.stats.bootstrap import QuerySample, sample_queries
from pipeline.tables.prepare import SPLIT_TABLES


@dataclass(frozen=True)
class TunedModel:
    """The fine-tuned model and its tokenizer, its encoder packed once for all targets and sweeps."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    @cached_property
    def encoder(self) -> AblatableEncoder:
        return AblatableEncoder.from_pretrained_model(self.model)

    @cached_property
    def bfloat16_encoder(self) -> AblatableEncoder:
        return AblatableEncoder.from_pretrained_model(self.model, torch.bfloat16)


@dataclass(frozen=True)
class AblationTarget:
    """A model and the pairs of a split that it is ablated on.

    Attributes:
        tuned: the model.
        encoded: the pairs.
        pairs: their row numbers in the split, int64 [pair].
        table: their rows of the split.
        sample: their queries.
        settings: precision and batch size of the sweeps.
    """

    tuned: TunedModel
    encoded: EncodedPairs
    pairs: np.ndarray
    table: pd.DataFrame
    sample: QuerySample
    settings: Ablation

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, heads)."""
        return self.tuned.encoder.shape

    @property
    def grades(self) -> np.ndarray:
        """Gold, 0 worst, [pair]."""
        return self.table["grade"].to_numpy()

    @cached_property
    def tokens(self) -> list[Tokens]:
        """Of each pair."""
        return pair_tokens(self.tuned.tokenizer, self.encoded, self.table)

    @cached_property
    def token_kinds(self) -> list[np.ndarray]:
        """Of each pair, see `cls_attention.token_kinds`."""
        return [cls_attention.token_kinds(tokens) for tokens in self.tokens]

    @property
    def engine(self) -> AblationEngine:
        """In float32, without a cache."""
        return AblationEngine(self.tuned.encoder, self.settings.batch_tokens)

    def sweep(self, masks: np.ndarray, stage: str, observer: Observer | None = None) -> AblationResult:
        """Evaluate masks [mask, layer, head] in the chosen precision; a killed sweep goes on where it was."""
        settings, model = self.settings, self.tuned.model
        observed = "" if observer is None else f"{type(observer).__name__} {list(observer.layers)}"
        key = sweep_cache.sweep_key(
            model,
            f"{settings.precision} {settings.batch_tokens} {model.device.type} {observed}",
            *(self.encoded.ids, self.encoded.types, self.encoded.starts, masks),
        )
        with sweep_cache.disk_cache(paths.SWEEPS / stage, key) as cache:
            if settings.precision == "bfloat16":
                rounded = AblationEngine(self.tuned.bfloat16_encoder, settings.batch_tokens, cache)
                result = sweep_in_bfloat16(self.engine, rounded, self.encoded, masks, observer)
                return audit_bfloat16(self.engine, self.encoded, result, self.sample.seed)
            return replace(self.engine, cache=cache).evaluate(self.encoded, masks, observer=observer)

    def observed_sweep(self, masks: np.ndarray, stage: str) -> AblationResult:
        """A sweep with what each mask does to [CLS]'s attention in every layer but the first.

        Its cls_attention is [1 + mask, pair, layer - 1, head, quantity]; see `ClsAttentionChange`.
        """
        layers, heads = self.shape
        if layers == 1:
            unobserved = np.zeros((1 + len(masks), len(self.encoded), 0, heads, len(cls_attention.QUANTITIES)))
            return replace(self.sweep(masks, stage), cls_attention=unobserved)
        observer = cls_attention.cls_attention_change(self.engine, self.encoded, range(1, layers), self.token_kinds)
        return self.sweep(masks, stage, observer)

    def arrays(self, result: AblationResult) -> dict[str, np.ndarray]:
        """A sweep as it is written: masks, logits of the masks, baseline (unmasked logits), and pairs."""
        return {
            "masks": result.masks,
            "logits": result.masked_logits,
            "baseline": result.unmasked_logits,
            "pairs": self.pairs,
        }


def load_targets(params: Params, *splits: Path) -> list[AblationTarget]:
    """The tuned model, one for all, with up to `ablation.max_pairs` pairs of each prepared split, by whole queries."""
    tuned = TunedModel(*load_tuned(paths.MODEL, pick_device(params.base.device)))
    return [_target(params, split, tuned) for split in splits]


def _target(params: Params, split: Path, tuned: TunedModel) -> AblationTarget:
    table = SPLIT_TABLES[split].read()
    pairs = sample_queries(table.query_id.to_numpy(), params.ablation.max_pairs, params.base.seed)
    table = table.iloc[pairs]
    encoded = encode_split(tuned.tokenizer, table, params.model.max_length)
    sample = QuerySample(table["query_id"].to_numpy(), params.base.draws, params.base.seed)
    return AblationTarget(tuned, encoded, pairs, table, sample, params.ablation)
