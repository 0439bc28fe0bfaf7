"""Functional groups beside random groups of as many heads, averages over random draws, differences of two groups."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from pipeline.ablation.head_groups import Group, count_matched_groups
from pipeline.analysis.ablation_effects import CHANGE, Judged
from pipeline.stats.bootstrap import Bootstrap, percentile, tail


def compare_with_random(
    groups: Sequence[Group], changes: Iterable[float], controlled: Iterable[str], heads: int
) -> pd.DataFrame:
    """Each functional group of `controlled` against its layer-matched and the unrestricted random groups.

    Args:
        groups: all groups masked. changes: their relative accuracy changes, in the same order.
        heads: of a layer.

    Returns:
        One row a group and kind of control: group, control, draws, change, median, lowest and highest of the draws,
        percentile of the change among them (0: below all), p = (1 + draws as low) / (1 + draws), overlap, the mean
        share of the group's heads that a draw holds, and exhaustive, whether the draws are all groups there are.
    """
    change = dict(zip(groups, changes, strict=True))
    own = [group for group in groups if group.experiment == "function" and group.group in set(controlled)]
    rows = []
    for group in own:
        matched = [one for one in groups if one.experiment == "layer_matched" and one.group == group.group]
        free = [one for one in groups if one.experiment == "random_k"]
        for kind, drawn in (("layer_matched", matched), ("unrestricted", free)):
            if drawn:
                values = np.array([change[one] for one in drawn])
                overlap = np.mean([len(set(one.heads) & set(group.heads)) / len(group.heads) for one in drawn])
                every = kind == "layer_matched" and len(drawn) == count_matched_groups(group, heads)
                rows.append((*_control_row(group.group, kind, change[group], values), float(overlap), every))
    return pd.DataFrame(rows, columns=CONTROL_COLUMNS)


CONTROL_COLUMNS = [
    "group",
    "control",
    "draws",
    CHANGE,
    "median",
    "lowest",
    "highest",
    "percentile",
    "p",
    "overlap",
    "exhaustive",
]


def _control_row(group: str, kind: str, change: float, draws: np.ndarray) -> tuple:
    spread = (float(np.median(draws)), float(draws.min()), float(draws.max()))
    return group, kind, len(draws), change, *spread, percentile(change, draws), tail(change, draws)


# Experiment -> how its random draws are brought together.
AVERAGED: dict[str, Callable[..., np.ndarray]] = {"random_share": np.mean, "random_k": np.median}
DIFFERENCES = {  # name -> (experiment, group) whose effect is taken, and the one that is taken from it
    "lower_minus_upper": (("half", "lower"), ("half", "upper")),
    "lower_except_term_match_minus_lower": (("lower_except", "term_match"), ("half", "lower")),
}


def contrasts(groups: Sequence[Group], point: np.ndarray, again: np.ndarray, judged: Judged) -> pd.DataFrame:
    """Relative accuracy changes brought together, with 95% intervals.

    Args:
        groups: what was masked.
        point: their relative accuracy changes, [group]. again: in every draw of the bootstrap, [group, draw].

    Returns:
        One row each: name ("random_share 0.1", "random_k random", a name of DIFFERENCES), draws, the figure, low, high.
        An average's interval draws the random groups again together with the queries.
    """
    drawn = judged.drawn
    rng = np.random.default_rng([judged.seed, 9])
    rows = []
    for experiment, average in AVERAGED.items():
        for name in dict.fromkeys(group.group for group in groups if group.experiment == experiment):
            own = [i for i, group in enumerate(groups) if (group.experiment, group.group) == (experiment, name)]
            rows.append((f"{experiment} {name}", len(own), *_average(point[own], again[own], average, drawn, rng)))
    place = {(group.experiment, group.group): number for number, group in enumerate(groups)}
    for name, (first, second) in DIFFERENCES.items():
        if first in place and second in place:
            a, b = place[first], place[second]
            low, high = drawn.interval(again[a] - again[b])
            rows.append((name, 1, float(point[a] - point[b]), float(low), float(high)))
    return pd.DataFrame(rows, columns=["name", "draws", CHANGE, "low", "high"])


def _average(
    point: np.ndarray, again: np.ndarray, average: Callable[..., np.ndarray], drawn: Bootstrap, rng: np.random.Generator
) -> tuple[float, float, float]:
    chosen = rng.integers(len(point), size=(len(point), again.shape[1]))
    low, high = drawn.interval(average(np.take_along_axis(again, chosen, axis=0), axis=0))
    return float(average(point)), float(low), float(high)
