"""The few numbers of an ablation that executions are compared by; undefined ones are None."""

import numpy as np
import pandas as pd

from pipeline.analysis.effects import measures
from pipeline.analysis.metrics import defined


def head_metrics(heads: pd.DataFrame, baseline: np.ndarray, grades: np.ndarray) -> dict[str, float | int | None]:
    """From heads.csv's frame, the unmasked logits [pair, grade] and the gold grades [pair]."""
    change = heads.relative_accuracy_change
    return {
        "heads_pairs": len(grades),
        "heads_baseline_accuracy": float((baseline.argmax(-1) == grades).mean()),
        "heads_baseline_qwk": defined(measures(baseline[None], grades).qwk[0]),
        "heads_largest_loss": defined(change.min()),
        "heads_largest_gain": defined(change.max()),
        "heads_median_change": defined(change.median()),
        "heads_within_1_percent": float((change.abs() < 0.01).mean()),
    }


def group_metrics(groups: pd.DataFrame) -> dict[str, float | int | None]:
    """Relative accuracy change of the named groups, and the mean over draws of the random ones."""
    change = groups.groupby(["experiment", "group"], sort=False).relative_accuracy_change.mean()
    names = {
        "groups_lower_half": ("half", "lower"),
        "groups_upper_half": ("half", "upper"),
        "groups_random_k": ("random_k", "random"),
    }
    names |= {f"groups_{group}": ("function", group) for experiment, group in change.index if experiment == "function"}
    names |= {
        f"groups_lower_except_{group}": ("lower_except", group)
        for experiment, group in change.index
        if experiment == "lower_except"
    }
    return {name: defined(change.get(key, np.nan)) for name, key in names.items()}
