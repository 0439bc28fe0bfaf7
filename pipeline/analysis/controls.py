"""Groups of heads beside random groups of as many: how rarely chance costs as much."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from pipeline.analysis.effects import CHANGE
from pipeline.analysis.groups import Group, matched_groups
from pipeline.analysis.inference import percentile, tail


def controls(groups: Sequence[Group], changes: Iterable[float], controlled: Iterable[str], heads: int) -> pd.DataFrame:
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
                every = kind == "layer_matched" and len(drawn) == matched_groups(group, heads)
                rows.append((*_row(group.group, kind, change[group], values), float(overlap), every))
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
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


def _row(group: str, kind: str, change: float, draws: np.ndarray) -> tuple:
    spread = (float(np.median(draws)), float(draws.min()), float(draws.max()))
    return group, kind, len(draws), change, *spread, percentile(change, draws), tail(change, draws)
