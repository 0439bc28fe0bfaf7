"""Selection of rows and estimates from the result tables, such as a group's accuracy change in groups.csv."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.findings.verdict import UNDEFINED, Estimate, percent

CHANGE = "relative_accuracy_change"  # (masked - unmasked) / unmasked accuracy, a fraction: -0.5 loses half of it
COLLAPSED = 0.9  # share of all predictions on one grade from which a model has collapsed


@dataclass(frozen=True)
class Tables:
    """The result tables and thresholds that findings are judged on."""

    heads: pd.DataFrame
    groups: pd.DataFrame
    controls: pd.DataFrame
    contrasts: pd.DataFrame
    labels: pd.DataFrame
    attention_shift: pd.DataFrame  # attention_shift_mean.csv
    mediation: pd.DataFrame  # mediation.csv
    equivalence_margin: float  # a relative accuracy change whose interval lies within it counts as none
    label_threshold: float  # difference of score and control from which a head is labelled
    joint_mediation: pd.DataFrame  # joint_mediation.csv


class Control(NamedTuple):
    """A functional group compared with random groups, see `random_controls.compare_with_random`."""

    null_type: str
    random_groups: int
    median: float
    lowest: float
    highest: float
    percentile: float
    p: float
    exhaustive: bool

    def text(self) -> str:
        """The random groups' median, number and range, in percent."""
        return (
            f"{self.null_type} median {percent(self.median)} ({self.random_groups} random groups, "
            f"{percent(self.lowest)} to {percent(self.highest)})"
        )


def controls(frame: pd.DataFrame, group: str) -> list[Control]:
    """The group's controls of either kind, in the frame's order."""
    rows = frame.loc[frame["group"] == group, list(Control._fields)]
    return [Control(*row) for row in rows.itertuples(index=False)]


def layer_matched(frame: pd.DataFrame, group: str) -> Control | None:
    """The group's layer-matched control, None without one."""
    return next((control for control in controls(frame, group) if control.null_type == "layer_matched"), None)


def relay_heads(mediation: pd.DataFrame) -> pd.DataFrame:
    """The rows of relay heads, the strongest first: the one whose [CLS] row costs most on dev."""
    if mediation.empty:  # the model has no head that could be one
        return mediation
    return mediation[mediation["is_relay_head"]].sort_values("dev_cls_row_logit_margin_change", kind="stable")


def row_estimate(row: pd.Series) -> Estimate:
    """The relative accuracy change of a row of effects."""
    return Estimate(float(row[CHANGE]), float(row[f"{CHANGE}_low"]), float(row[f"{CHANGE}_high"]))


def select_rows(groups: pd.DataFrame, group_type: str) -> pd.DataFrame:
    return groups[groups["group_type"] == group_type]


def unmasked(groups: pd.DataFrame) -> pd.DataFrame:
    """The unmasked model's row."""
    return select_rows(groups, "unmasked")


def estimates(groups: pd.DataFrame, group_type: str) -> dict[str, Estimate]:
    """Group -> its relative accuracy change, NaN where undefined."""
    return {str(row["group"]): row_estimate(row) for _, row in select_rows(groups, group_type).iterrows()}


def estimate(groups: pd.DataFrame, group_type: str, group: str) -> Estimate:
    """The group's relative accuracy change, NaN where it was not masked."""
    return estimates(groups, group_type).get(group, UNDEFINED)


def contrast(contrasts: pd.DataFrame, name: str) -> Estimate:
    """A row of contrasts.csv, NaN where there is none."""
    for _, row in contrasts[contrasts["name"] == name].iterrows():
        return replace(row_estimate(row), random_groups=int(row["random_groups"]))
    return UNDEFINED


def share_estimates(contrasts: pd.DataFrame) -> dict[float, Estimate]:
    """Share of all heads masked at random -> mean change of its groups, by rising share; undefined ones left out."""
    prefix = "random_share "
    names = [str(name) for name in contrasts["name"] if str(name).startswith(prefix)]
    means = {float(name.removeprefix(prefix)): contrast(contrasts, name) for name in names}
    return {share: mean for share, mean in sorted(means.items()) if np.isfinite(mean.value)}


def has_one_layer(groups: pd.DataFrame) -> bool:
    """Whether the model has a single layer, and so no halves."""
    return len(select_rows(groups, "layer")) == 1


def heads_masked(groups: pd.DataFrame, group_type: str, group: str) -> float:
    """Number of heads of the group, NaN where the group was not masked."""
    rows = select_rows(groups, group_type)
    return float(rows.loc[rows["group"] == group, "heads_masked"].max())


def random_k(groups: pd.DataFrame) -> np.ndarray:
    """Changes of the random groups of k heads, float64 [group]; undefined ones left out."""
    return select_rows(groups, "random_k")[CHANGE].dropna().to_numpy(dtype=float)


def random_shares(groups: pd.DataFrame) -> dict[float, np.ndarray]:
    """Share of all heads masked -> changes of its random groups, float64 [group]; undefined ones left out."""
    defined = select_rows(groups, "random_share").dropna(subset=[CHANGE])
    by_share = {float(str(share)): rows[CHANGE].to_numpy(dtype=float) for share, rows in defined.groupby("group")}
    return dict(sorted(by_share.items()))


def pair_count(groups: pd.DataFrame) -> int:
    """Number of pairs of the ablations."""
    return int(_grade_counts(unmasked(groups)).sum(axis=1).iloc[0])


def grade_shares(groups: pd.DataFrame) -> pd.DataFrame:
    """Share of the predictions on each grade, a row per group, a column per grade (`predicted_0`, ...)."""
    counts = _grade_counts(groups)
    return counts.div(counts.sum(axis=1), axis=0)


def collapsed(groups: pd.DataFrame) -> pd.Series:
    """Whether a masked model has collapsed: it predicts one grade for nearly every pair."""
    return grade_shares(groups).max(axis=1) >= COLLAPSED


def _grade_counts(groups: pd.DataFrame) -> pd.DataFrame:
    return groups.filter(regex=r"^predicted_\d+$")
