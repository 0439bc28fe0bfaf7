"""Random control groups: comparison of functional groups with them, averages over them, contrasts of groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.ablation.head_groups import Group, count_matched_groups
from pipeline.analysis.subgroups import parts_of
from pipeline.core.heads import Head
from pipeline.stats.bootstrap import QuerySample, jackknife_intervals, percentile, tail
from pipeline.stats.measures import Changes, EvaluationSet, Measure, point_changes

LAYER_MATCHED, UNRESTRICTED = "layer_matched", "unrestricted"
WHOLE = ("all", "all")  # slice and value of the undivided pairs


@dataclass(frozen=True)
class ControlDesign:
    """Groups that are compared with random ones.

    Attributes:
        groups: those masked, in the order of their logits.
        controlled: functions whose groups are compared.
        strongest: of each of them, the heads that another function's random groups may have to do without.
        heads: of a layer.
    """

    groups: Sequence[Group]
    controlled: Sequence[str]
    strongest: Mapping[str, Sequence[Head]]
    heads: int

    def functional(self) -> list[int]:
        """Rows of the functional groups that are compared."""
        return [
            row
            for row, group in enumerate(self.groups)
            if group.group_type == "function" and group.group in self.controlled
        ]

    def random(self, group: Group, null_type: str) -> list[int]:
        """Rows of the group's random groups of a kind."""
        kind = (LAYER_MATCHED, group.group) if null_type == LAYER_MATCHED else ("random_k", "random")
        return [row for row, other in enumerate(self.groups) if (other.group_type, other.group) == kind]

    def spared(self, group: Group, rows: Sequence[int]) -> list[int]:
        """Those of the rows whose groups hold none of another function's strongest heads."""
        others = {head for name, heads in self.strongest.items() if name != group.group for head in heads}
        return [row for row in rows if not (others - set(group.heads)) & set(self.groups[row].heads)]


def compare_with_random(
    design: ControlDesign,
    logits: np.ndarray,
    evaluated: EvaluationSet,
    slices: pd.DataFrame,
    measures: Sequence[Measure],
) -> pd.DataFrame:
    """Compare functional groups with random groups: on all pairs with either kind, on slices with layer-matched ones.

    Args:
        logits: under each group's mask, [group, pair, output].
        evaluated: the pairs.
        slices: a column per slicing, see `subgroups.subgroups`.

    Returns:
        The frame of `pipeline.tables.group_ablation.CONTROLS`.
    """
    parts = [(name, value, *evaluated.part(pairs)) for name, value, pairs in parts_of(slices)]
    frames = []
    for measure in measures:
        way = measure.way(evaluated)
        changes = point_changes(measure, logits, evaluated)
        for null_type, spared in ((LAYER_MATCHED, False), (LAYER_MATCHED, True), (UNRESTRICTED, False)):
            frames.append(_comparisons(design, changes, measure, way, null_type, spared, WHOLE))
        for name, value, kept, part in parts:
            changes = point_changes(measure, logits[:, kept], part)
            frames.append(_comparisons(design, changes, measure, way, LAYER_MATCHED, True, (name, value)))
    return pd.concat(frames, ignore_index=True)


def _comparisons(
    design: ControlDesign,
    changes: np.ndarray,
    measure: Measure,
    way: float,
    null_type: str,
    spared: bool,
    part: tuple[str, str],
) -> pd.DataFrame:
    rows = []
    for index in design.functional():
        group = design.groups[index]
        every = design.random(group, null_type)
        compared = [row for row in (design.spared(group, every) if spared else every) if np.isfinite(changes[row])]
        if compared and np.isfinite(changes[index]):
            change, random = changes[index], changes[compared]
            held = [len(set(design.groups[row].heads) & set(group.heads)) / len(group.heads) for row in compared]
            exhaustive = null_type == LAYER_MATCHED and len(every) == count_matched_groups(group, design.heads)
            rows.append(
                {
                    "group": group.group,
                    "null_type": null_type,
                    "slice": part[0],
                    "value": part[1],
                    "without_strongest": spared,
                    "measure": measure.name,
                    "random_groups": len(compared),
                    "change": change,
                    "to_constant": change / way,
                    "median": float(np.median(random)),
                    "lowest": random.min(),
                    "highest": random.max(),
                    "percentile": percentile(-measure.harm(change), -measure.harm(random)),
                    "p": tail(-measure.harm(change), -measure.harm(random)),
                    "overlap": float(np.mean(held)),
                    "exhaustive": exhaustive,
                }
            )
    return pd.DataFrame(rows)


def mean_of_groups(changes: Changes, rows: Sequence[int], sample: QuerySample) -> tuple[float, float, float]:
    """Mean change over random groups, and its interval: the groups drawn are left out one by one like the queries."""
    values, by_query = changes.changes[rows], changes.without[rows].mean(axis=0)
    if len(rows) < 2:
        return float(values.mean()), np.nan, np.nan
    by_group = (values.sum() - values) / (len(rows) - 1)
    parts = np.concatenate([by_query - by_query.mean(), by_group - by_group.mean()])
    low, high = jackknife_intervals(parts[None], values.mean(keepdims=True))
    return float(values.mean()), float(low[0]), float(high[0])


def median_of_groups(changes: Changes, rows: Sequence[int], sample: QuerySample) -> tuple[float, float, float]:
    """Median change over random groups, and its interval: groups are resampled together with the queries."""
    groups = np.random.default_rng([sample.seed, 9]).integers(len(rows), size=changes.resamples[rows].shape)
    medians = np.median(np.take_along_axis(changes.resamples[rows], groups, axis=0), axis=0)
    low, high = sample.bootstrap.interval(medians, len(rows))
    return float(np.median(changes.changes[rows])), float(low), float(high)


# Group type -> how its random groups are averaged.
AVERAGED = {"random_share": mean_of_groups, "random_k": median_of_groups}
DIFFERENCES = {  # name -> (group_type, group) whose effect is taken, and the one that is taken from it
    "lower_minus_upper": (("half", "lower"), ("half", "upper")),
    "lower_except_term_match_minus_lower": (("lower_except", "term_match"), ("half", "lower")),
}


def contrasts(
    groups: Sequence[Group], changes: Mapping[str, Changes], ways: Mapping[str, float], sample: QuerySample
) -> pd.DataFrame:
    """Contrasts of the changes of every measure: averages over random groups and differences of groups.

    Args:
        groups: those masked.
        changes: of each measure, see `ablation_effects.Effects`.
        ways: see `Measure.way`.

    Returns:
        The frame of `pipeline.tables.group_ablation.CONTRASTS`, named "random_share 0.1", "random_k random" or as in
        DIFFERENCES. An average's interval knows that the random groups were drawn as well as the queries.
    """
    frames = [_contrasts(groups, changes[name], ways[name], sample) for name in changes]
    return pd.concat(frames, ignore_index=True)


def _contrasts(groups: Sequence[Group], changes: Changes, way: float, sample: QuerySample) -> pd.DataFrame:
    values, resamples = changes.changes, changes.resamples
    rows = []
    for group_type, average in AVERAGED.items():
        for name in dict.fromkeys(group.group for group in groups if group.group_type == group_type):
            random = [i for i, group in enumerate(groups) if (group.group_type, group.group) == (group_type, name)]
            rows.append((f"{group_type} {name}", len(random), *average(changes, random, sample)))
    index = {(group.group_type, group.group): number for number, group in enumerate(groups)}
    for name, (first, second) in DIFFERENCES.items():
        if first in index and second in index:
            a, b = index[first], index[second]
            low, high = sample.bootstrap.interval(resamples[a] - resamples[b])
            rows.append((name, 1, float(values[a] - values[b]), float(low), float(high)))
    frame = pd.DataFrame(rows, columns=["name", "random_groups", "change", "change_low", "change_high"])
    frame.insert(1, "measure", changes.measure.name)
    return frame.assign(to_constant=frame["change"] / way)
