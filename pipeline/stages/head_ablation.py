"""Head ablation: the fine-tuned model -> effects on test grades of masking a head, and of keeping it alone.

Writes data/ablation/heads.safetensors (every mask's logits) and head_rows.safetensors (what each mask does to later
heads' [CLS] attention), and in reports/head_ablation/ heads.csv (with each head's effect under mean and resample
ablation and its gradient importance on dev), kept_heads.csv and metrics.json.
"""

from dataclasses import asdict

import pandas as pd

from pipeline.ablation.head_groups import group_masks, kept_heads, single_head_groups
from pipeline.ablation.head_importance import gradient_importance
from pipeline.ablation.patching import pairs_with_donors, replacement_logits
from pipeline.ablation.sweep import load_targets
from pipeline.analysis.ablation_effects import (
    ZERO,
    EvaluationSet,
    compare_ablation_types,
    effect_significance,
    head_metrics,
    measure_effects,
)
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.core import paths
from pipeline.core.config import Params
from pipeline.core.formats import write_json, write_safetensors
from pipeline.core.heads import every_head
from pipeline.tables.head_ablation import HEADS, KEPT_HEADS, LOGITS
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    test, dev = load_targets(params, paths.TEST, paths.DEV)
    shape, seed = test.shape, params.run.seed
    masks = group_masks(single_head_groups(*shape), *shape)
    result = test.observed_sweep(masks, "head_ablation")
    kept_result = test.sweep(group_masks(kept_heads(*shape), *shape), "kept_heads")
    evaluated = EvaluationSet(test.grades, result.unmasked_logits, test.sample)
    pairs = pairs_with_donors(test.encoded, params.ablation.mean_resample_pairs, seed)
    by_type = {ZERO: result.masked_logits[:, pairs]}
    by_type |= replacement_logits(test.engine, test.encoded.take(pairs), dev.encoded, masks, seed)

    names = pd.DataFrame(every_head(*shape), columns=["layer", "head"])
    effects, tests = (measure(result.masked_logits, evaluated) for measure in (measure_effects, effect_significance))
    heads = pd.concat([names, effects, tests, compare_ablation_types(by_type, evaluated.subset(pairs))], axis=1)
    heads["gradient_importance"] = gradient_importance(dev.tuned.model, dev.encoded, dev.grades).ravel()
    kept = pd.concat([names, measure_effects(kept_result.masked_logits, evaluated)], axis=1)
    metrics = head_metrics(heads, evaluated)
    metrics |= result.precision_report

    LOGITS.write(test.arrays(result))
    write_safetensors(paths.HEAD_ROWS, asdict(ClsAttentionSums.of(result.cls_attention, test.sample.query_ids)))
    HEADS.write(heads)
    KEPT_HEADS.write(kept)
    write_json(paths.stage_metrics("head_ablation"), metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.HEADS, paths.KEPT_HEADS, paths.stage_metrics("head_ablation")]
