"""Random control groups: comparison of functional groups with them, averages over them, contrasts of groups."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from pipeline.ablation.head_groups import Group, count_matched_groups
from pipeline.analysis.ablation_effects import CHANGE
from pipeline.stats.bootstrap import QuerySample, percentile, tail


def compare_with_random(
    groups: Sequence[Group], changes: Iterable[float], controlled: Iterable[str], heads: int
) -> pd.DataFrame:
    """Compare each functional group of `controlled` with its layer-matched and the unrestricted random groups.

    Args:
        groups: those masked. changes: their relative accuracy changes, in the same order.
        heads: of a layer.

    Returns:
        The frame of `pipeline.tables.group_ablation.CONTROLS`.
    """
    change = dict(zip(groups, changes, strict=True))
    functional = [group for group in groups if group.group_type == "function" and group.group in set(controlled)]
    rows = []
    for group in functional:
        matched = [other for other in groups if (other.group_type, other.group) == ("layer_matched", group.group)]
        unrestricted = [other for other in groups if other.group_type == "random_k"]
        for kind, controls in (("layer_matched", matched), ("unrestricted", unrestricted)):
            if controls:
                random, own = np.array([change[control] for control in controls]), change[group]
                spread = (float(np.median(random)), random.min(), random.max(), percentile(own, random))
                held = [len(set(control.heads) & set(group.heads)) / len(group.heads) for control in controls]
                exhaustive = kind == "layer_matched" and len(controls) == count_matched_groups(group, heads)
                tested = (tail(own, random), float(np.mean(held)), exhaustive)
                rows.append((group.group, kind, len(random), own, *spread, *tested))
    return pd.DataFrame(rows, columns=COLUMNS)


SPREAD = ["median", "lowest", "highest", "percentile"]
COLUMNS = ["group", "null_type", "random_groups", CHANGE, *SPREAD, "p", "overlap", "exhaustive"]

# Group type -> how its random groups are averaged.
AVERAGED: dict[str, Callable[..., np.ndarray]] = {"random_share": np.mean, "random_k": np.median}
DIFFERENCES = {  # name -> (group_type, group) whose effect is taken, and the one that is taken from it
    "lower_minus_upper": (("half", "lower"), ("half", "upper")),
    "lower_except_term_match_minus_lower": (("lower_except", "term_match"), ("half", "lower")),
}


def contrasts(groups: Sequence[Group], changes: np.ndarray, resamples: np.ndarray, sample: QuerySample) -> pd.DataFrame:
    """Contrasts of the relative accuracy change: averages over random groups and differences of groups, with intervals.

    Args:
        groups: those masked.
        changes: their relative accuracy changes, [group].
        resamples: the same in every resample of the sample's bootstrap, [group, resample].

    Returns:
        The frame of `pipeline.tables.group_ablation.CONTRASTS`, named "random_share 0.1", "random_k random" or as in
        DIFFERENCES. An average's interval resamples the random groups together with the queries.
    """
    rng = np.random.default_rng([sample.seed, 9])
    rows = []
    for group_type, average in AVERAGED.items():
        for name in dict.fromkeys(group.group for group in groups if group.group_type == group_type):
            random = [i for i, group in enumerate(groups) if (group.group_type, group.group) == (group_type, name)]
            low, high = sample.bootstrap.interval(_averages(resamples[random], average, rng))
            rows.append((f"{group_type} {name}", len(random), float(average(changes[random])), float(low), float(high)))
    index = {(group.group_type, group.group): number for number, group in enumerate(groups)}
    for name, (first, second) in DIFFERENCES.items():
        if first in index and second in index:
            a, b = index[first], index[second]
            low, high = sample.bootstrap.interval(resamples[a] - resamples[b])
            rows.append((name, 1, float(changes[a] - changes[b]), float(low), float(high)))
    return pd.DataFrame(rows, columns=["name", "random_groups", CHANGE, f"{CHANGE}_low", f"{CHANGE}_high"])


def _averages(resamples: np.ndarray, average: Callable[..., np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Averages [resample] over random groups [group, resample], the groups resampled too."""
    groups = rng.integers(len(resamples), size=resamples.shape)
    return average(np.take_along_axis(resamples, groups, axis=0), axis=0)
