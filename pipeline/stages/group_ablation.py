"""Group ablation: the fine-tuned model and the heads' functions -> effects of masked groups on the test grades.

Writes data/ablation/groups.safetensors (every mask's logits) and group_rows.safetensors ([CLS] attention under the
masks that dependency needs), and in reports/group_ablation/ groups.csv, measures.csv (the measures' scales),
controls.csv, contrasts.csv, slices.csv and metrics.json.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline.ablation.head_groups import (
    CONTROLLED,
    RANDOM,
    UNMASKED,
    choose_groups,
    group_frame,
    group_masks,
    matchers_and_controls,
    strongest_heads,
)
from pipeline.ablation.sweep import load_target, load_tuned_model
from pipeline.analysis.ablation_effects import group_metrics, measure_effects, predicted_counts
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.analysis.random_controls import ControlDesign, compare_with_random, contrasts
from pipeline.analysis.subgroups import subgroup_effects, subgroups
from pipeline.core import paths, schemas
from pipeline.core.config import Params
from pipeline.core.formats import write_json, write_safetensors
from pipeline.stats.measure_sets import measure_set
from pipeline.stats.measures import measure_scales
from pipeline.tables.attention import LABELS
from pipeline.tables.group_ablation import CONTRASTS, CONTROLS, GROUPS, LOGITS, SCALES, SLICES
from pipeline.tables.head_ablation import HEADS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    tuned, settings, margin = load_tuned_model(params), params.group_ablation, params.ablation.equivalence_margin
    measures = measure_set(params.is_ranker)
    test = load_target(params, tuned, SPLIT_TABLES[paths.TEST], settings.max_pairs)
    temperature = schemas.metrics(paths.stage_metrics("head_ablation"), ("temperature",))["temperature"]
    labels, importance = LABELS.read(), HEADS[measures.kind].read()
    groups = choose_groups(settings, labels, importance, *test.shape, params.run.seed)
    masks = group_masks(groups, *test.shape)
    raw = test.observed_sweep(masks, "group_ablation", matchers_and_controls(groups))
    result = raw.calibrated(temperature)
    evaluated = test.evaluated(result.unmasked_logits)

    rows = [UNMASKED, *groups]  # as the result's: the first one's counts are the unmasked model's predictions
    tested = np.array([group.group_type not in RANDOM for group in rows])
    effects = measure_effects(result.logits, evaluated, margin, measures, tested)
    table = pd.concat([group_frame(rows), effects.frame, predicted_counts(result.logits)], axis=1)
    slices = subgroups(test.table, test.tokens, params.data.slice_columns, params.data.grade_names)
    design = ControlDesign(rows, CONTROLLED, strongest_heads(labels), test.shape[1])
    controls = compare_with_random(design, result.logits, evaluated, slices, measures.tested)
    ways = {measure.name: measure.way(evaluated) for measure in measures.tested}
    contrasted = contrasts(rows, effects.changes, ways, test.sample)
    by_slice = subgroup_effects(rows, result.logits, evaluated, slices, measures.tested)
    metrics = group_metrics(table, measures) | result.precision_report

    LOGITS.write(test.arrays(raw))
    write_safetensors(paths.GROUP_ROWS, asdict(ClsAttentionSums.of(result.cls_attention, test.sample.query_ids)))
    GROUPS[measures.kind].write(table)
    SCALES.write(measure_scales(measures.tested, evaluated, margin))
    CONTROLS.write(controls)
    CONTRASTS.write(contrasted)
    SLICES.write(by_slice)
    write_json(paths.stage_metrics("group_ablation"), metrics)
    record.metrics.update(metrics)
    tables = [paths.GROUPS, paths.GROUP_SCALES, paths.CONTROLS, paths.CONTRASTS, paths.SLICES]
    record.artifacts += [*tables, paths.stage_metrics("group_ablation")]
