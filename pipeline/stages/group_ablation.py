"""Group ablation: the fine-tuned model and the heads' functions -> effects of masked groups on the test grades.

Writes data/ablation/groups.safetensors (every mask's logits) and group_rows.safetensors ([CLS] attention under the
masks that dependency needs), and in reports/group_ablation/ groups.csv, controls.csv, contrasts.csv, slices.csv and
metrics.json.
"""

from dataclasses import asdict

import pandas as pd

from pipeline.ablation.head_groups import (
    CONTROLLED,
    UNMASKED,
    choose_groups,
    group_frame,
    group_masks,
    matchers_and_controls,
)
from pipeline.ablation.sweep import load_targets
from pipeline.analysis.ablation_effects import (
    CHANGE,
    EvaluationSet,
    effects_and_resamples,
    group_metrics,
    predicted_counts,
)
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.analysis.random_controls import compare_with_random, contrasts
from pipeline.analysis.subgroups import subgroup_effects, subgroups
from pipeline.core import paths
from pipeline.core.config import Params
from pipeline.core.formats import write_json, write_safetensors
from pipeline.tables.attention import LABELS
from pipeline.tables.group_ablation import CONTRASTS, CONTROLS, GROUPS, LOGITS, SLICES
from pipeline.tables.head_ablation import HEADS
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    (test,) = load_targets(params, paths.TEST)
    labels, importance = LABELS.read(), HEADS.read()
    groups = choose_groups(params.group_ablation, labels, importance, *test.shape, params.run.seed)
    result = test.sweep(group_masks(groups, *test.shape), "group_ablation")
    observed = test.observed_sweep(group_masks(matchers_and_controls(groups), *test.shape), "group_rows")
    evaluated = EvaluationSet(test.grades, result.unmasked_logits, test.sample)

    rows = [UNMASKED, *groups]  # as the result's: the first one's counts are the unmasked model's predictions
    effects, resamples = effects_and_resamples(result.logits, evaluated)
    table = pd.concat([group_frame(rows), effects, predicted_counts(result.logits)], axis=1)
    controls = compare_with_random(rows, table[CHANGE], CONTROLLED, test.shape[1])
    contrasted = contrasts(rows, table[CHANGE].to_numpy(), resamples, test.sample)
    parts = subgroups(test.table, params.data.slice_columns, params.data.grades)
    slices = subgroup_effects(rows, result.logits, evaluated, parts)
    metrics = group_metrics(table) | result.precision_report

    LOGITS.write(test.arrays(result))
    write_safetensors(paths.GROUP_ROWS, asdict(ClsAttentionSums.of(observed.cls_attention, test.sample.query_ids)))
    GROUPS.write(table)
    CONTROLS.write(controls)
    CONTRASTS.write(contrasted)
    SLICES.write(slices)
    write_json(paths.stage_metrics("group_ablation"), metrics)
    record.metrics.update(metrics)
    tables = [paths.GROUPS, paths.CONTROLS, paths.CONTRASTS, paths.SLICES]
    record.artifacts += [*tables, paths.stage_metrics("group_ablation")]
