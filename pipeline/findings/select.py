"""Single numbers out of the frame of group effects (groups.csv: one row a group of heads masked together).

`relative_accuracy_change` is (masked - baseline) / baseline accuracy, a fraction; -0.5 means that half of it is lost.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.findings.verdict import Estimate, percent

CHANGE = "relative_accuracy_change"
COLLAPSED = 0.9  # share of all predictions on one grade from which a model no longer grades


@dataclass(frozen=True)
class Tables:
    """What the stages wrote, as frames.

    Attributes:
        heads, groups, controls, contrasts: of the ablation stages.
        readers: of the dependency stage (readers.csv).
        labels, moves: of the attention stage (labels.csv, mean_moves.csv).
        margin: a relative accuracy change whose interval lies within it counts as none.
        label_margin: what a head's score has to exceed its control by for a label.
    """

    heads: pd.DataFrame
    groups: pd.DataFrame
    controls: pd.DataFrame
    contrasts: pd.DataFrame
    labels: pd.DataFrame
    moves: pd.DataFrame
    readers: pd.DataFrame
    margin: float
    label_margin: float


class Control(NamedTuple):
    """A functional group beside random ones, see `random_controls.compare_with_random`."""

    control: str
    draws: int
    median: float
    lowest: float
    highest: float
    percentile: float
    p: float
    exhaustive: bool


def controls(frame: pd.DataFrame, group: str) -> list[Control]:
    """The group's controls of either kind, in the frame's order."""
    own = frame.loc[frame["group"] == group, list(Control._fields)]
    return [Control(*row) for row in own.itertuples(index=False)]


def matched(frame: pd.DataFrame, group: str) -> Control | None:
    """The group's layer-matched control, None without one."""
    return next((row for row in controls(frame, group) if row.control == "layer_matched"), None)


def spread(control: Control) -> str:
    """The random groups' median, number and range, in percent."""
    return (
        f"median {percent(control.median)} ({control.draws} draws, {percent(control.lowest)} to "
        f"{percent(control.highest)})"
    )


def row_estimate(row: pd.Series) -> Estimate:
    """The relative accuracy change of a row of effects."""
    return Estimate(float(row[CHANGE]), float(row[f"{CHANGE}_low"]), float(row[f"{CHANGE}_high"]))


def estimates(groups: pd.DataFrame, experiment: str) -> dict[str, Estimate]:
    """Group -> its relative accuracy change, NaN where undefined."""
    return {str(row["group"]): row_estimate(row) for _, row in select_rows(groups, experiment).iterrows()}


def estimate(groups: pd.DataFrame, experiment: str, group: str) -> Estimate:
    """The group's relative accuracy change, NaN where it was not masked."""
    return estimates(groups, experiment).get(group, Estimate(np.nan, np.nan, np.nan))


def contrast(contrasts: pd.DataFrame, name: str) -> Estimate:
    """A row of contrasts.csv, NaN where there is none."""
    found = contrasts[contrasts["name"] == name]
    if found.empty:
        return Estimate(np.nan, np.nan, np.nan)
    row = found.iloc[0]
    return Estimate(float(row[CHANGE]), float(row["low"]), float(row["high"]), int(row["draws"]))


def averages(contrasts: pd.DataFrame, experiment: str) -> dict[float, Estimate]:
    """Share of all heads masked -> mean change over its draws, by rising share; undefined ones are left out."""
    found = {}
    for name in contrasts["name"]:
        kind, _, share = str(name).partition(" ")
        if kind == experiment and np.isfinite((mean := contrast(contrasts, str(name))).value):
            found[float(share)] = mean
    return dict(sorted(found.items()))


def select_rows(groups: pd.DataFrame, experiment: str) -> pd.DataFrame:
    return groups[groups["experiment"] == experiment]


def has_one_layer(groups: pd.DataFrame) -> bool:
    """Whether the model has a single layer, and so no halves."""
    return len(select_rows(groups, "layer")) == 1


def heads_masked(groups: pd.DataFrame, experiment: str, group: str) -> float:
    """How many heads the group masks, NaN where the group was not masked."""
    return _value(groups, experiment, group, "heads_masked")


def _value(groups: pd.DataFrame, experiment: str, group: str, column: str) -> float:
    found = select_rows(groups, experiment).set_index("group")[column]
    return float(found[group]) if group in found.index else float("nan")


def random_k(groups: pd.DataFrame) -> np.ndarray:
    """Changes of the random groups of k heads, [draw]; draws without one are left out."""
    return select_rows(groups, "random_k")[CHANGE].dropna().to_numpy(dtype=float)


def random_shares(groups: pd.DataFrame) -> dict[float, np.ndarray]:
    """Share of all heads masked -> changes [draw], by rising share; shares without a defined draw are left out."""
    drawn = select_rows(groups, "random_share").dropna(subset=[CHANGE])
    by_share = {float(str(share)): draws[CHANGE].to_numpy(dtype=float) for share, draws in drawn.groupby("group")}
    return dict(sorted(by_share.items()))


def pair_count(groups: pd.DataFrame) -> int:
    """How many pairs every group was tested on."""
    return int(_counts(select_rows(groups, "baseline")).sum(axis=1).iloc[0])


def grade_shares(groups: pd.DataFrame) -> pd.DataFrame:
    """Share of the predictions on each grade, one row a group, one column a grade (`predicted_0`, ...)."""
    counts = _counts(groups)
    return counts.div(counts.sum(axis=1), axis=0)


def collapsed(groups: pd.DataFrame) -> pd.Series:
    """Which groups leave a model that puts nearly every pair on one grade."""
    return grade_shares(groups).max(axis=1) >= COLLAPSED


def _counts(groups: pd.DataFrame) -> pd.DataFrame:
    return groups.filter(regex=r"^predicted_\d+$")
