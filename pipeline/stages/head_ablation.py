"""Head ablation: the fine-tuned model -> effects on test grades of masking a head, and of keeping it alone.

Writes data/ablation/heads.safetensors (every mask's logits) and head_rows.safetensors (what each mask does to later
heads' [CLS] attention), and in reports/head_ablation/ heads.csv (with each head's effect under mean and resample
ablation and its gradient importance on dev), measures.csv (the measures' scales), head_slices.csv (every head on every
slice), kept_heads.csv, unlabelled_heads.csv (without rows unless data.unlabelled names a table) and metrics.json.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline.ablation.aligned_donors import AlignedResampleAblation, draw_aligned_donors
from pipeline.ablation.head_groups import group_masks, kept_heads, single_head_groups
from pipeline.ablation.head_importance import gradient_importance, ranking_gradient_importance
from pipeline.ablation.patching import ResampleAblation, draw_donors, pairs_with_donors, replacement_logits
from pipeline.ablation.sweep import AblationTarget, TunedModel, load_target, load_tuned_model
from pipeline.ablation.work_units import Replacement
from pipeline.analysis.ablation_effects import (
    ZERO,
    compare_ablation_types,
    head_effects,
    head_metrics,
    measure_effects,
    unlabelled_effects,
)
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.analysis.subgroups import head_slice_effects, subgroups
from pipeline.core import paths
from pipeline.core.config import Params
from pipeline.core.formats import write_json, write_safetensors
from pipeline.core.heads import every_head
from pipeline.stats.bootstrap import sample_queries
from pipeline.stats.measure_sets import RANKER, MeasureSet, measure_set
from pipeline.stats.measures import EvaluationSet, measure_scales
from pipeline.tables.head_ablation import HEAD_SLICES, HEADS, KEPT_HEADS, LOGITS, SCALES, UNLABELLED_HEADS
from pipeline.tables.prepare import SPLIT_TABLES, UNLABELLED
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    tuned, seed = load_tuned_model(params), params.run.seed
    measures, margin = measure_set(params.is_ranker), params.ablation.equivalence_margin
    primary = measures.primary(params.ablation.primary_measure)
    test, dev = (
        load_target(params, tuned, SPLIT_TABLES[split], params.head_ablation.max_pairs)
        for split in (paths.TEST, paths.DEV)
    )
    names = pd.DataFrame(every_head(*test.shape), columns=["layer", "head"])
    masks = group_masks(single_head_groups(*test.shape), *test.shape)
    raw = test.observed_sweep(masks, "head_ablation")
    result = raw.calibrated(dev.temperature)
    evaluated = test.evaluated(result.unmasked_logits)
    pairs, resample = _resampled(test, params.head_ablation.mean_resample_pairs, seed)
    by_type = {ZERO: result.masked_logits[:, pairs]}
    replaced = replacement_logits(test.engine, test.encoded.take(pairs), dev.encoded, masks, resample)
    by_type |= {name: logits / np.float32(dev.temperature) for name, logits in replaced.items()}

    effects = head_effects(result.masked_logits, evaluated, measures, primary, margin)
    types = compare_ablation_types(by_type, evaluated.subset(pairs), measures, primary, margin)
    heads = pd.concat([names, effects, types], axis=1)
    heads["gradient_importance"] = _importance(dev).ravel()
    scales = measure_scales(measures.tested, evaluated, margin)
    slices = subgroups(test.table, test.tokens, params.data.slice_columns, params.data.grade_names)
    by_slice = head_slice_effects(names, result.masked_logits, evaluated, slices, primary)
    fewer = load_target(params, tuned, SPLIT_TABLES[paths.TEST], params.group_ablation.max_pairs)
    kept = _kept_effects(fewer, dev.temperature, margin)
    unlabelled = _unlabelled_effects(params, tuned, masks, measures, dev.temperature)
    metrics = head_metrics(heads, scales, result.masked_logits, evaluated, measures, primary)
    metrics |= result.precision_report
    metrics["temperature"] = dev.temperature

    LOGITS.write(test.arrays(raw))
    write_safetensors(paths.HEAD_ROWS, asdict(ClsAttentionSums.of(result.cls_attention, test.sample.query_ids)))
    HEADS[measures.kind].write(heads)
    SCALES.write(scales)
    HEAD_SLICES.write(by_slice)
    KEPT_HEADS[measures.kind].write(pd.concat([names, kept], axis=1))
    alone = UNLABELLED_HEADS[measures.kind]
    alone.write(pd.concat([names, unlabelled], axis=1) if len(unlabelled) else alone.empty())
    write_json(paths.stage_metrics("head_ablation"), metrics)
    record.metrics.update(metrics)
    tables = [paths.HEADS, paths.HEAD_SCALES, paths.HEAD_SLICES, paths.KEPT_HEADS, paths.UNLABELLED_HEADS]
    record.artifacts += [*tables, paths.stage_metrics("head_ablation")]


def _resampled(test: AblationTarget, max_pairs: int, seed: int) -> tuple[np.ndarray, Replacement]:
    """Pairs of mean and resample ablation, by row, and their donors.

    Of a ranker whole queries, and so of a grader where pairs of one layout are those of fewer than two queries.
    """
    if test.measures is not RANKER:
        pairs = pairs_with_donors(test.encoded, max_pairs, seed)
        if len(np.unique(test.sample.query_ids[pairs])) > 1:
            encoded = test.encoded.take(pairs)
            return pairs, ResampleAblation(encoded.take(draw_donors(encoded, seed)))
    pairs = sample_queries(test.sample.query_ids, max_pairs, seed)
    encoded = test.encoded.take(pairs)
    return pairs, AlignedResampleAblation.among(encoded, draw_aligned_donors(encoded, seed))


def _importance(dev: AblationTarget) -> np.ndarray:
    """Gradient importance [layer, head] on dev."""
    model = dev.tuned.model
    if dev.measures is RANKER:
        return ranking_gradient_importance(model, dev.encoded, dev.grades, dev.sample.query_ids, dev.temperature)
    return gradient_importance(model, dev.encoded, dev.grades)


def _kept_effects(test: AblationTarget, temperature: float, margin: float) -> pd.DataFrame:
    """Effects of keeping each head as its layer's only one."""
    masks = group_masks(kept_heads(*test.shape), *test.shape)
    result = test.sweep(masks, "kept_heads").calibrated(temperature)
    return measure_effects(result.masked_logits, test.evaluated(result.unmasked_logits), margin, test.measures).frame


def _unlabelled_effects(
    params: Params, tuned: TunedModel, masks: np.ndarray, measures: MeasureSet, temperature: float
) -> pd.DataFrame:
    """Effects of single heads on the pairs without grades; no rows where there are none."""
    if params.data.unlabelled is None:
        return pd.DataFrame()
    target = load_target(params, tuned, UNLABELLED, params.head_ablation.max_pairs)
    result = target.sweep(masks, "unlabelled").calibrated(temperature)
    evaluated = EvaluationSet(None, result.unmasked_logits, target.sample)
    return unlabelled_effects(result.masked_logits, evaluated, measures, params.ablation.equivalence_margin)
