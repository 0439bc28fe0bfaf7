"""Sweeps of masks over the fine-tuned model on the pairs of a split, in float32 or in mixed precision."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.ablation import cls_attention, sweep_cache
from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine, AblationResult, Observer
from pipeline.ablation.engine_check import check_engine
from pipeline.attention.head_functions import Tokens, pair_tokens
from pipeline.core import paths
from pipeline.core.config import Ablation, Params
from pipeline.core.schemas import Table
from pipeline.models.checkpoints import load_tuned, pick_device
from pipeline.models.tokenization import EncodedPairs, encode_split
from pipeline.stats.bootstrap import QuerySample, sample_queries
from pipeline.stats.temperature import fit_temperature

AUDITED_PAIRS = 32  # pairs on which a sweep in bfloat16 is compared with float32


@dataclass(frozen=True)
class TunedModel:
    """Fine-tuned model and tokenizer, with the encoder packed once for all sweeps."""

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
    """Target of an ablation: a model and the pairs of a split.

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
        """Layers, and heads per layer."""
        return self.tuned.encoder.shape

    @property
    def grades(self) -> np.ndarray:
        """Gold grades, 0 worst, [pair]."""
        return self.table["grade"].to_numpy()

    @cached_property
    def temperature(self) -> float:
        """Temperature of the unmasked model on these pairs, see `pipeline.stats.temperature`."""
        return fit_temperature(self.engine.unmasked(self.encoded).unmasked_logits, self.grades)

    @cached_property
    def tokens(self) -> list[Tokens]:
        """Tokens of each pair."""
        return pair_tokens(self.tuned.tokenizer, self.encoded, self.table)

    @cached_property
    def token_kinds(self) -> list[np.ndarray]:
        """Token kinds of each pair, see `cls_attention.token_kinds`."""
        return [cls_attention.token_kinds(tokens) for tokens in self.tokens]

    @property
    def engine(self) -> AblationEngine:
        """Engine in float32, without a cache."""
        return AblationEngine(self.tuned.encoder, self.settings.batch_tokens)

    def sweep(self, masks: np.ndarray, stage: str, observer: Observer | None = None) -> AblationResult:
        """Evaluate masks [mask, layer, head] in the chosen precision; a killed sweep resumes."""
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
        """Evaluate masks and their change of [CLS] attention in every layer but the first.

        Its cls_attention is [1 + mask, pair, layer - 1, head, quantity]; see `ClsAttentionChange`.
        """
        layers, heads = self.shape
        if layers == 1:
            unobserved = np.zeros((1 + len(masks), len(self.encoded), 0, heads, len(cls_attention.QUANTITIES)))
            return replace(self.sweep(masks, stage), cls_attention=unobserved)
        observer = cls_attention.cls_attention_change(self.engine, self.encoded, range(1, layers), self.token_kinds)
        return self.sweep(masks, stage, observer)

    def arrays(self, result: AblationResult) -> dict[str, np.ndarray]:
        """A sweep as `tables.measures.mask_logits` describes it."""
        return {
            "masks": result.masks,
            "masked_logits": result.masked_logits,
            "unmasked_logits": result.unmasked_logits,
            "pairs": self.pairs,
        }


def load_tuned_model(params: Params) -> TunedModel:
    """Load the fine-tuned model."""
    return TunedModel(*load_tuned(paths.MODEL, pick_device(params.run.device)))


def load_target(params: Params, tuned: TunedModel, table: Table, max_pairs: int) -> AblationTarget:
    """Load a prepared table's pairs as the target of masks, up to `max_pairs` of them by whole queries.

    Raises:
        InputError: the engine does not compute what the model does on them.
    """
    rows = table.read()
    pairs = sample_queries(rows.query_id.to_numpy(), max_pairs, params.run.seed)
    rows = rows.iloc[pairs]
    encoded = encode_split(tuned.tokenizer, rows, params.model.max_length)
    sample = QuerySample(rows["query_id"].to_numpy(), params.run.bootstrap_resamples, params.run.seed)
    target = AblationTarget(tuned, encoded, pairs, rows, sample, params.ablation)
    check_engine(target.engine, tuned.model, encoded)
    return target


def sweep_in_bfloat16(
    exact: AblationEngine,
    rounded: AblationEngine,
    encoded: EncodedPairs,
    masks: np.ndarray,
    observer: Observer | None = None,
) -> AblationResult:
    """Evaluate masks [mask, layer, head] in bfloat16, and again in float32 where rounding may change a prediction.

    The result's precision_report holds

    - bfloat16_error: largest difference of a logit from float32 on the unmasked model, over all pairs.
    - bfloat16_evaluated_again: share of (row, pair) done again in float32: those whose two best logits lie within twice
      that error, since either may have moved by it. What the observer kept stays rounded.
    """
    result = rounded.evaluate(encoded, masks, observer=observer)
    logits = result.logits
    error = float(np.abs(result.unmasked_logits - exact.unmasked(encoded).unmasked_logits).max())
    close = top_two_margins(logits) <= 2 * error
    for pair in np.flatnonzero(close.any(axis=0)):
        rows = np.flatnonzero(close[:, pair])
        again = exact.evaluate(encoded.take(np.array([pair])), masks[rows[rows > 0] - 1])
        logits[rows, pair] = again.logits[-len(rows) :, 0]  # without its row 0 where the unmasked model's call is clear
    report = {"bfloat16_error": error, "bfloat16_evaluated_again": float(close.mean())}
    return replace(result, precision_report=report)


def audit_bfloat16(exact: AblationEngine, encoded: EncodedPairs, result: AblationResult, seed: int) -> AblationResult:
    """Add to the result's report the predictions that differ from float32: bfloat16_differing of bfloat16_sampled.

    All masks are evaluated in float32 on a few pairs, drawn from `seed`.
    """
    rng, size = np.random.default_rng(seed), min(AUDITED_PAIRS, len(encoded))
    pairs = np.sort(rng.choice(len(encoded), size, replace=False))
    expected = exact.evaluate(encoded.take(pairs), result.masks).logits.argmax(-1)
    differing = result.logits[:, pairs].argmax(-1) != expected
    counts = {"bfloat16_sampled": differing.size, "bfloat16_differing": int(differing.sum())}
    return replace(result, precision_report=result.precision_report | counts)


def top_two_margins(logits: np.ndarray) -> np.ndarray:
    """Margin between the two largest logits, [..., pair]."""
    ranked = np.partition(logits, -2, axis=-1)
    return ranked[..., -1] - ranked[..., -2]
