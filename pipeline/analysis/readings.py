"""Single numbers out of the frame of group effects (groups.csv: one row a group of heads masked together).

`relative_accuracy_change` is (masked - baseline) / baseline accuracy, a fraction; -0.5 means that half of it is lost.
"""

import numpy as np
import pandas as pd

CHANGE = "relative_accuracy_change"
COLLAPSED = 0.9  # share of all predictions on one grade from which a model no longer grades


def rows(groups: pd.DataFrame, experiment: str) -> pd.DataFrame:
    return groups[groups["experiment"] == experiment]


def change(groups: pd.DataFrame, experiment: str, group: str) -> float:
    """The group's relative accuracy change, NaN where the group was not masked."""
    return _value(groups, experiment, group, CHANGE)


def heads_masked(groups: pd.DataFrame, experiment: str, group: str) -> float:
    """How many heads the group masks, NaN where the group was not masked."""
    return _value(groups, experiment, group, "heads_masked")


def _value(groups: pd.DataFrame, experiment: str, group: str, column: str) -> float:
    found = rows(groups, experiment).set_index("group")[column]
    return float(found[group]) if group in found.index else float("nan")


def random_k(groups: pd.DataFrame) -> np.ndarray:
    """Changes of the random groups of k heads, [draw]; draws without one are left out."""
    return rows(groups, "random_k")[CHANGE].dropna().to_numpy(dtype=float)


def random_shares(groups: pd.DataFrame) -> dict[float, np.ndarray]:
    """Share of all heads masked -> changes [draw], by rising share; shares without a defined draw are left out."""
    drawn = rows(groups, "random_share").dropna(subset=[CHANGE])
    by_share = {float(str(share)): draws[CHANGE].to_numpy(dtype=float) for share, draws in drawn.groupby("group")}
    return dict(sorted(by_share.items()))


def pairs(groups: pd.DataFrame) -> int:
    """How many pairs every group was tested on."""
    return int(_counts(rows(groups, "baseline")).sum(axis=1).iloc[0])


def grade_shares(groups: pd.DataFrame) -> pd.DataFrame:
    """Share of the predictions on each grade, one row a group, one column a grade (`predicted_0`, ...)."""
    counts = _counts(groups)
    return counts.div(counts.sum(axis=1), axis=0)


def collapsed(groups: pd.DataFrame) -> pd.Series:
    """Which groups leave a model that puts nearly every pair on one grade."""
    return grade_shares(groups).max(axis=1) >= COLLAPSED


def _counts(groups: pd.DataFrame) -> pd.DataFrame:
    return groups.filter(regex=r"^predicted_\d+$")
