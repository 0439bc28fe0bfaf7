"""The few numbers of an ablation that executions are compared by; undefined ones are None."""

import numpy as np
import pandas as pd

from pipeline.analysis.effects import CHANGE, HARMFUL, NEEDED, Judged
from pipeline.analysis.metrics import defined
from pipeline.analysis.replaced import agreement
from pipeline.analysis.sums import by_query, measures

Metrics = dict[str, float | int | None]


def head_metrics(heads: pd.DataFrame, judged: Judged) -> Metrics:
    """From heads.csv's frame and the pairs it was judged on."""
    change = heads[CHANGE]
    unmasked = measures(by_query(judged.baseline[None], judged.grades, judged.query_ids)[0].sum(axis=0))
    numbers: dict[str, float] = {
        "baseline_accuracy": float(unmasked["accuracy"]),
        "baseline_qwk": float(unmasked["qwk"]),
        "largest_loss": change.min(),
        "largest_gain": change.max(),
        "median_change": change.median(),
        "within_1_percent": float((change.abs() < 0.01).mean()),
        "importance_rank_correlation": float(heads.gradient_importance.rank().corr((-heads.margin_change).rank())),
        **{f"rank_agreement_zero_{name}": value for name, value in agreement(heads).items()},
    }
    counts = {
        "pairs": len(judged.grades),
        "queries": judged.queries,
        "needed": int((heads.verdict == NEEDED).sum()),
        "harmful": int((heads.verdict == HARMFUL).sum()),
        "only_zero": int(heads.only_zero.sum()),
    }
    every: Metrics = counts | {name: defined(value) for name, value in numbers.items()}
    return {f"heads_{name}": value for name, value in every.items()}


def dependency_metrics(edges: pd.DataFrame, readers: pd.DataFrame) -> Metrics:
    """From edges.csv's and readers.csv's frames."""
    own, others = readers[readers.reader], readers[~readers.reader.astype(bool)]
    numbers = {
        "dependency_strongest_js": edges.js.max(),
        "dependency_readers_share": own.share.mean() if len(own) else np.nan,
        "dependency_readers_share_change": own.share_change.mean() if len(own) else np.nan,
        "dependency_readers_mediated": own.mediated.median() if len(own) else np.nan,
        "dependency_others_mediated": others.mediated.median() if len(others) else np.nan,
    }
    counts: Metrics = {
        "dependency_readers": len(own),
        "dependency_readers_dependent": int((own.p <= 0.05).sum()) if len(own) else 0,
    }
    return counts | {name: defined(value) for name, value in numbers.items()}


def group_metrics(groups: pd.DataFrame) -> Metrics:
    """Relative accuracy change of the named groups, and the mean over draws of the random ones."""
    change = groups.groupby(["experiment", "group"], sort=False)[CHANGE].mean()
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
