"""The fine-tuned model and the heads' functions -> what masking heads in groups does to the test grades.

Writes data/ablation/groups.safetensors and reports/group_ablation/{groups.csv,metrics.json}.
"""

from dataclasses import asdict

import numpy as np
import pandas as pd

from pipeline import paths
from pipeline.analysis import groups
from pipeline.analysis.effects import effects, predicted_counts
from pipeline.analysis.summaries import group_metrics
from pipeline.files import write_csv, write_json, write_safetensors
from pipeline.model.subject import load_subject
from pipeline.params import GroupAblation, Params
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    subject = load_subject(params)
    chosen = choose_groups(params.group_ablation, pd.read_csv(paths.PROFILES), *subject.shape, params.base.seed)
    sweep, notes = subject.sweep(groups.masks(chosen, *subject.shape), "group_ablation")
    # The baseline is the group of no heads: its row shows the grades that the unmasked model predicts.
    logits = np.concatenate([sweep.baseline[None], sweep.logits])
    measured = effects(sweep.baseline, logits, subject.grades)
    named = groups.frame([groups.Group("baseline", "baseline", ()), *chosen])
    table = pd.concat([named, measured, predicted_counts(logits)], axis=1)
    metrics = group_metrics(table) | {f"groups_{name}": value for name, value in notes.items()}

    write_safetensors(paths.GROUP_LOGITS, asdict(sweep))
    write_csv(paths.GROUPS, table)
    write_json(paths.GROUP_METRICS, metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.GROUPS, paths.GROUP_METRICS]


def choose_groups(
    settings: GroupAblation, profiles: pd.DataFrame, layers: int, heads: int, seed: int
) -> list[groups.Group]:
    """Every group of R1, R2, F1-F3 and the user's, the user's first so that a wrong one costs no time."""
    users = groups.users(settings.groups, layers, heads)
    functional = groups.functional(profiles, settings.k)
    return [
        *groups.random_shares(layers, heads, settings.random_shares, settings.draws, seed),
        *groups.whole_layers(layers, heads),
        *groups.halves(layers, heads),
        *functional,
        *groups.lower_except(functional, layers, heads),
        *groups.random_controls(layers, heads, settings.k, settings.control_draws, seed),
        *users,
    ]
