"""The fine-tuned model and the heads' functions -> what masking heads in groups does to the test grades.

Writes data/ablation/groups.safetensors, and in reports/group_ablation/ groups.csv, controls.csv, contrasts.csv,
slices.csv and metrics.json.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline.ablation import head_groups
from pipeline.ablation.sweep import AblationTarget, load_targets, observed_sweep, target_kinds
from pipeline.analysis.ablation_effects import CHANGE, Judged, effects_and_resamples, group_metrics, predicted_counts
from pipeline.analysis.attention_edges import ClsAttentionSums
from pipeline.analysis.random_controls import compare_with_random, contrasts
from pipeline.analysis.subgroups import subgroup_effects, subgroups
from pipeline.core import paths
from pipeline.core.config import GroupAblation, Params
from pipeline.core.formats import write_json, write_safetensors
from pipeline.tables.attention import LABELS
from pipeline.tables.group_ablation import CONTRASTS, CONTROLS, GROUPS, SLICES
from pipeline.tables.head_ablation import HEADS
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    (subject,) = load_targets(params, paths.TEST)
    labels, importance = LABELS.read(), HEADS.read()
    chosen = choose_groups(params.group_ablation, labels, importance, *subject.shape, params.base.seed)
    swept = subject.sweep(head_groups.group_masks(chosen, *subject.shape), "group_ablation")
    sweep = swept.sweep
    judged = Judged(subject.grades, subject.query_ids, sweep.baseline, params.base.draws, params.base.seed)
    # The baseline is the group of no heads: its row shows the grades that the unmasked model predicts.
    logits = np.concatenate([sweep.baseline[None], sweep.logits])
    named = head_groups.group_frame([head_groups.Group("baseline", "baseline", ()), *chosen])
    measured, drawn = effects_and_resamples(logits, judged)
    table = pd.concat([named, measured, predicted_counts(logits)], axis=1)
    beside = compare_with_random(chosen, table[CHANGE].iloc[1:], head_groups.CONTROLLED, subject.shape[1])
    together = contrasts(chosen, table[CHANGE].to_numpy()[1:], drawn[1:], judged)
    apart = [number for number, group in enumerate(chosen) if group.experiment in SLICED]
    parts = subgroups(subject.table, _extra(params), params.data.grades)
    sliced = subgroup_effects([chosen[number].group for number in apart], sweep.logits[apart], judged, parts)
    metrics = group_metrics(table) | {f"groups_{name}": value for name, value in swept.notes.items()}

    write_safetensors(paths.GROUP_LOGITS, asdict(sweep))
    write_safetensors(paths.GROUP_ROWS, asdict(_rows(subject, chosen)))
    GROUPS.write(table)
    CONTROLS.write(beside)
    CONTRASTS.write(together)
    SLICES.write(sliced)
    write_json(paths.GROUP_METRICS, metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.GROUPS, paths.CONTROLS, paths.CONTRASTS, paths.SLICES, paths.GROUP_METRICS]


def _rows(subject: AblationTarget, chosen: list[head_groups.Group]) -> ClsAttentionSums:
    """What becomes of [CLS]'s attention without the term-match heads, and without each of their random groups."""
    own = [
        one for one in chosen if one.group == head_groups.MATCHERS and one.experiment in ("function", "layer_matched")
    ]
    masks = head_groups.group_masks(sorted(own, key=lambda one: one.experiment), *subject.shape)
    return ClsAttentionSums.of(
        observed_sweep(subject, masks, "group_rows", target_kinds(subject))[1], subject.query_ids
    )


SLICED = ("function", "user")  # experiments whose groups are looked at on slices


def _extra(params: Params) -> list[str]:
    """The columns of the prepared table to slice by, beside what every table has."""
    return ["phenomenon"] if params.data.source == "generated" else params.data.slices


def choose_groups(
    settings: GroupAblation, labels: pd.DataFrame, importance: pd.DataFrame, layers: int, heads: int, seed: int
) -> list[head_groups.Group]:
    """Every group masked together; the user's are checked first, so that a wrong one costs no time."""
    users = head_groups.user_groups(settings.groups, layers, heads)
    functional = head_groups.function_groups(labels, settings.k)
    controlled = [group for group in functional if group.group in head_groups.CONTROLLED]
    return [
        *head_groups.random_share_groups(layers, heads, settings.random_shares, settings.draws, seed),
        *head_groups.layer_groups(layers, heads),
        *head_groups.half_groups(layers, heads),
        *functional,
        *head_groups.lower_except_groups(functional, layers, heads),
        *head_groups.top_k_groups(labels, settings.largest_k),
        *head_groups.random_k_groups(layers, heads, settings.k, settings.control_draws, seed),
        *(
            matched
            for group in controlled
            for matched in head_groups.layer_matched_groups(group, heads, settings.control_draws, seed)
        ),
        *head_groups.removal_orders(importance, settings.random_shares),
        *users,
    ]
