"""The fine-tuned model and the heads' functions -> what masking heads in groups does to the test grades.

Writes data/ablation/groups.safetensors, and in reports/group_ablation/ groups.csv, controls.csv, contrasts.csv,
slices.csv and metrics.json.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline import inputs, paths
from pipeline.analysis import groups
from pipeline.analysis.contrasts import contrasts
from pipeline.analysis.controls import controls
from pipeline.analysis.edges import Rows
from pipeline.analysis.effects import CHANGE, Judged, effects_and_draws, predicted_counts
from pipeline.analysis.slices import by_slice, slices
from pipeline.analysis.summaries import group_metrics
from pipeline.files import write_csv, write_json, write_safetensors
from pipeline.model.subject import Subject, load_subjects
from pipeline.params import GroupAblation, Params
from pipeline.stages.reading import observed_sweep, subject_kinds
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    (subject,) = load_subjects(params, paths.TEST)
    labels, importance = inputs.table(paths.LABELS), inputs.table(paths.HEADS)
    chosen = choose_groups(params.group_ablation, labels, importance, *subject.shape, params.base.seed)
    swept = subject.sweep(groups.masks(chosen, *subject.shape), "group_ablation")
    sweep = swept.sweep
    judged = Judged(subject.grades, subject.query_ids, sweep.baseline, params.base.draws, params.base.seed)
    # The baseline is the group of no heads: its row shows the grades that the unmasked model predicts.
    logits = np.concatenate([sweep.baseline[None], sweep.logits])
    named = groups.frame([groups.Group("baseline", "baseline", ()), *chosen])
    measured, drawn = effects_and_draws(logits, judged)
    table = pd.concat([named, measured, predicted_counts(logits)], axis=1)
    beside = controls(chosen, table[CHANGE].iloc[1:], groups.CONTROLLED, subject.shape[1])
    together = contrasts(chosen, table[CHANGE].to_numpy()[1:], drawn[1:], judged)
    apart = [number for number, group in enumerate(chosen) if group.experiment in SLICED]
    parts = slices(subject.table, _extra(params), params.data.grades)
    sliced = by_slice([chosen[number].group for number in apart], sweep.logits[apart], judged, parts)
    metrics = group_metrics(table) | {f"groups_{name}": value for name, value in swept.notes.items()}

    write_safetensors(paths.GROUP_LOGITS, asdict(sweep))
    write_safetensors(paths.GROUP_ROWS, asdict(_rows(subject, chosen)))
    write_csv(paths.GROUPS, table)
    write_csv(paths.CONTROLS, beside)
    write_csv(paths.CONTRASTS, together)
    write_csv(paths.SLICES, sliced)
    write_json(paths.GROUP_METRICS, metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.GROUPS, paths.CONTROLS, paths.CONTRASTS, paths.SLICES, paths.GROUP_METRICS]


def _rows(subject: Subject, chosen: list[groups.Group]) -> Rows:
    """What becomes of [CLS]'s attention without the term-match heads, and without each of their random groups."""
    own = [one for one in chosen if one.group == groups.MATCHERS and one.experiment in ("function", "layer_matched")]
    masks = groups.masks(sorted(own, key=lambda one: one.experiment), *subject.shape)
    return Rows.of(observed_sweep(subject, masks, "group_rows", subject_kinds(subject))[1], subject.query_ids)


SLICED = ("function", "user")  # experiments whose groups are looked at on slices


def _extra(params: Params) -> list[str]:
    """The columns of the prepared table to slice by, beside what every table has."""
    return ["phenomenon"] if params.data.source == "generated" else params.data.slices


def choose_groups(
    settings: GroupAblation, labels: pd.DataFrame, importance: pd.DataFrame, layers: int, heads: int, seed: int
) -> list[groups.Group]:
    """Every group masked together; the user's are checked first, so that a wrong one costs no time."""
    users = groups.users(settings.groups, layers, heads)
    functional = groups.functional(labels, settings.k)
    controlled = [group for group in functional if group.group in groups.CONTROLLED]
    return [
        *groups.random_shares(layers, heads, settings.random_shares, settings.draws, seed),
        *groups.whole_layers(layers, heads),
        *groups.halves(layers, heads),
        *functional,
        *groups.lower_except(functional, layers, heads),
        *groups.best_up_to(labels, settings.largest_k),
        *groups.random_controls(layers, heads, settings.k, settings.control_draws, seed),
        *(
            matched
            for group in controlled
            for matched in groups.layer_matched(group, heads, settings.control_draws, seed)
        ),
        *groups.removal(importance, settings.random_shares),
        *users,
    ]
