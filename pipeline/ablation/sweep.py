"""Sweeps of masks over the fine-tuned model on the pairs of a split, in float32 or in less, close calls exact again."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.ablation import cls_attention, sweep_cache
from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine, AblationResult
from pipeline.ablation.engine_check import check_engine
from pipeline.ablation.local_workers import LocalBackend
from pipeline.ablation.precision import FLOAT32, PRECISIONS, Precision
from pipeline.ablation.ray_workers import RayBackend
from pipeline.ablation.stack_size import stack_tokens
from pipeline.ablation.work_units import Observer
from pipeline.ablation.workers import THIS_PROCESS, ThisProcess, WorkerPool, Workers
from pipeline.attention.head_functions import Tokens, pair_tokens
from pipeline.core import paths
from pipeline.core.config import Ablation, Compute, Params
from pipeline.core.schemas import Table
from pipeline.models.checkpoints import load_tuned, pick_device
from pipeline.models.tokenization import EncodedPairs, encode_split
from pipeline.stats.bootstrap import QuerySample, sample_queries
from pipeline.stats.measure_sets import MeasureSet, measure_set
from pipeline.stats.measures import EvaluationSet

AUDITED_PAIRS = 32  # pairs on which a rounded sweep is compared with float32


@dataclass(frozen=True)
class TunedModel:
    """Fine-tuned model and tokenizer, with the encoder packed once for all sweeps; their precision and workers."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    precision: Precision = FLOAT32
    workers: Workers = THIS_PROCESS

    @cached_property
    def encoder(self) -> AblatableEncoder:
        return AblatableEncoder.from_pretrained_model(self.model)

    @cached_property
    def rounded_encoder(self) -> AblatableEncoder:
        """Encoder in the sweeps' precision."""
        return AblatableEncoder.from_pretrained_model(self.model, self.precision)


@dataclass(frozen=True)
class AblationTarget:
    """Target of an ablation: a model and the pairs of a split.

    Attributes:
        tuned: the model.
        encoded: the pairs.
        pairs: their row numbers in the split, int64 [pair].
        table: their rows of the split.
        sample: their queries.
        measures: of the kind of model.
        settings: precision and batch size of the sweeps.
    """

    tuned: TunedModel
    encoded: EncodedPairs
    pairs: np.ndarray
    table: pd.DataFrame
    sample: QuerySample
    measures: MeasureSet
    settings: Ablation

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and heads per layer."""
        return self.tuned.encoder.shape

    @property
    def grades(self) -> np.ndarray:
        """Gold grades, 0 worst, [pair]; numbers where they have no names."""
        return self.table["grade"].to_numpy()

    @cached_property
    def temperature(self) -> float:
        """Temperature of the unmasked model on these pairs, see `pipeline.stats.temperature`."""
        return self.measures.temperature(self.evaluated(self.engine.unmasked(self.encoded).unmasked_logits))

    def evaluated(self, unmasked_logits: np.ndarray) -> EvaluationSet:
        """Evaluation set of these pairs, from the unmasked model's logits [pair, output]."""
        return EvaluationSet(self.grades, unmasked_logits, self.sample)

    @cached_property
    def tokens(self) -> list[Tokens]:
        """Tokens of each pair."""
        return pair_tokens(self.tuned.tokenizer, self.encoded, self.table)

    @cached_property
    def token_kinds(self) -> list[np.ndarray]:
        """Token kinds of each pair, see `cls_attention.token_kinds`."""
        return [cls_attention.token_kinds(tokens) for tokens in self.tokens]

    @property
    def batch_tokens(self) -> int:
        """Tokens in one matrix product."""
        return stack_tokens(self.settings.batch_tokens, self.tuned.encoder)

    @property
    def engine(self) -> AblationEngine:
        """Engine in float32, without a cache."""
        return AblationEngine(
            encoder=self.tuned.encoder,
            batch_tokens=self.batch_tokens,
            workers=self.tuned.workers,
            unit_interventions=self.settings.unit_interventions,
        )

    @property
    def rounded_engine(self) -> AblationEngine:
        """Engine in the sweeps' precision, without a cache."""
        return replace(self.engine, encoder=self.tuned.rounded_encoder)

    def sweep(
        self,
        masks: np.ndarray,
        stage: str,
        observer: Observer | None = None,
        observed: np.ndarray | None = None,
        neurons: np.ndarray | None = None,
    ) -> AblationResult:
        """Evaluate masks [mask, layer, head] in the chosen precision; a killed sweep resumes.

        observer, observed, neurons: as `AblationEngine.evaluate` takes them; with neurons in float32.
        """
        settings, model = self.settings, self.tuned.model
        observations = "" if observer is None else f"{type(observer).__name__} {list(observer.layers)}"
        key = sweep_cache.sweep_key(
            model,
            f"{settings.precision} {self.batch_tokens} {settings.unit_interventions} "
            f"{settings.threads} threads {model.device.type} {observations}",
            *(self.encoded.ids, self.encoded.types, self.encoded.starts, masks),
            *(array for array in (observed, neurons) if array is not None),
        )
        with sweep_cache.disk_cache(paths.SWEEPS / stage, key) as cache:
            if self.tuned.precision != FLOAT32 and neurons is None:
                rounded = replace(self.rounded_engine, cache=cache)
                decisions = Decisions(self.measures, self.sample.query_ids)
                result = rounded_sweep(self.engine, rounded, self.encoded, masks, decisions, observer, observed)
                return audit_rounding(self.engine, rounded, self.encoded, result, decisions, self.sample.seed)
            engine = replace(self.engine, cache=cache)
            return engine.evaluate(self.encoded, masks, observer=observer, observed=observed, neurons=neurons)

    def observed_sweep(self, masks: np.ndarray, stage: str, observed: np.ndarray | None = None) -> AblationResult:
        """Evaluate masks and, of those `observed` (all if None), the change of [CLS] attention behind the first layer.

        Its cls_attention is [1 + observed mask, pair, layer - 1, head, quantity]; see `ClsAttentionChange`.
        """
        layers, heads = self.shape
        if layers == 1:
            rows = 1 + (len(masks) if observed is None else int(observed.sum()))
            unobserved = np.zeros((rows, len(self.encoded), 0, heads, len(cls_attention.QUANTITIES)))
            return replace(self.sweep(masks, stage), cls_attention=unobserved)
        observer = cls_attention.cls_attention_change(self.engine, self.encoded, range(1, layers), self.token_kinds)
        return self.sweep(masks, stage, observer, observed)

    def arrays(self, result: AblationResult) -> dict[str, np.ndarray]:
        """A sweep as `tables.measures.mask_logits` describes it."""
        return {
            "masks": result.masks,
            "masked_logits": result.masked_logits,
            "unmasked_logits": result.unmasked_logits,
            "pairs": self.pairs,
        }


def load_tuned_model(params: Params) -> TunedModel:
    """Load the fine-tuned model. Raises InputError where the device does not have the sweeps' precision."""
    device, precision = pick_device(params.run.device), PRECISIONS[params.ablation.precision]
    precision.check_device(device)
    model, tokenizer = load_tuned(paths.MODEL, device)
    return TunedModel(model, tokenizer, precision, sweep_workers(model, params.compute, params.ablation.threads))


def sweep_workers(model: PreTrainedModel, compute: Compute, threads: int) -> Workers:
    """Whoever evaluates sweeps of a model: this process, or a pool of workers, which it starts at the first sweep.

    Args:
        threads: that evaluate a unit. On a CPU this process evaluates as many units at once as its threads make.

    Raises:
        InputError: the backend is ray, and Ray is not installed, or no cluster answers.
    """
    if compute.backend == "ray":
        return WorkerPool(RayBackend(model, threads, compute.address), compute.workers)
    if compute.workers > 1:
        return WorkerPool(LocalBackend(paths.MODEL, model.device.type, threads), compute.workers)
    return ThisProcess(threads, 1 if model.device.type == "cuda" else max(1, torch.get_num_threads() // threads))


def load_target(params: Params, tuned: TunedModel, table: Table, max_pairs: int | None = None) -> AblationTarget:
    """Load a prepared table's pairs as the target of masks, up to `max_pairs` of them by whole queries; None: all.

    Raises:
        InputError: the engine does not compute what the model does on them, or the sweeps' precision is too low.
    """
    rows = table.read()
    pairs = sample_queries(rows.query_id.to_numpy(), len(rows) if max_pairs is None else max_pairs, params.run.seed)
    rows = rows.iloc[pairs]
    encoded = encode_split(tuned.tokenizer, rows, params.model.max_length)
    sample = QuerySample(rows["query_id"].to_numpy(), params.run.bootstrap_resamples, params.run.seed)
    target = AblationTarget(tuned, encoded, pairs, rows, sample, measure_set(params.is_ranker), params.ablation)
    check_engine(target.engine, tuned.model, encoded)
    if tuned.precision != FLOAT32:
        check_engine(target.rounded_engine, tuned.model, encoded)
    return target


@dataclass(frozen=True)
class Decisions:
    """Decisions of a kind of model: the grade of a pair, or a title's rank among those of its query.

    Attributes:
        measures: of the kind of model.
        query_ids: [pair].
    """

    measures: MeasureSet
    query_ids: np.ndarray

    def of(self, logits: np.ndarray, pairs: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Decisions [..., pair] of logits [..., pair, output] of these pairs."""
        return self.measures.decisions(logits, self.query_ids[pairs])

    def margins(self, logits: np.ndarray) -> np.ndarray:
        """How far the logits [..., pair, output] of all pairs are from another decision, [..., pair]."""
        return self.measures.decision_margins(logits, self.query_ids)


def rounded_sweep(
    exact: AblationEngine,
    rounded: AblationEngine,
    encoded: EncodedPairs,
    masks: np.ndarray,
    decisions: Decisions,
    observer: Observer | None = None,
    observed: np.ndarray | None = None,
) -> AblationResult:
    """Evaluate masks [mask, layer, head] rounded, and again in float32 where rounding may change a prediction.

    The result's precision_report holds, behind the precision's name,

    - error: largest difference of a logit from float32 on the unmasked model, over all pairs.
    - evaluated_again: share of (row, pair) done again in float32: those whose decision has a margin of at most twice
      that error, since both logits, or scores, may have moved by it. What the observer kept stays rounded.
    """
    result = rounded.evaluate(encoded, masks, observer=observer, observed=observed)
    logits = result.logits
    error = float(np.abs(result.unmasked_logits - exact.unmasked(encoded).unmasked_logits).max())
    close = decisions.margins(logits) <= 2 * error
    if rounded.cache is not None:
        exact = replace(exact, cache=rounded.cache.part("close_calls"))
    logits[close] = exact.evaluate_calls(encoded, masks, close)
    name = rounded.encoder.precision.name
    report = {f"{name}_error": error, f"{name}_evaluated_again": float(close.mean())}
    return replace(result, precision_report=report)


def audit_rounding(
    exact: AblationEngine,
    rounded: AblationEngine,
    encoded: EncodedPairs,
    result: AblationResult,
    decisions: Decisions,
    seed: int,
) -> AblationResult:
    """Add to a rounded sweep's report the decisions that differ from float32, `differing` of `sampled`.

    All masks are evaluated in float32 on a few pairs, drawn from `seed`.
    """
    rng, size = np.random.default_rng(seed), min(AUDITED_PAIRS, len(encoded))
    pairs = np.sort(rng.choice(len(encoded), size, replace=False))
    expected = decisions.of(exact.evaluate(encoded.take(pairs), result.masks).logits, pairs)
    differing = decisions.of(result.logits[:, pairs], pairs) != expected
    name = rounded.encoder.precision.name
    counts = {f"{name}_sampled": differing.size, f"{name}_differing": int(differing.sum())}
    return replace(result, precision_report=result.precision_report | counts)
