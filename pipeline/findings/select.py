"""Figures and rows selected from the stages' result tables, such as one group's accuracy change in groups.csv."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.findings.verdict import UNDEFINED, Estimate, percent

CHANGE = "relative_accuracy_change"  # (masked - unmasked) / unmasked accuracy, a fraction: -0.5 loses half of it
COLLAPSED = 0.9  # share of all predictions on one grade from which a model no longer grades


@dataclass(frozen=True)
class Tables:
    """The result tables and thresholds that findings are judged on."""

    heads: pd.DataFrame
    groups: pd.DataFrame
    controls: pd.DataFrame
    contrasts: pd.DataFrame
    labels: pd.DataFrame
    attention_shift: pd.DataFrame  # mean_moves.csv
    mediation: pd.DataFrame  # readers.csv
    equivalence_margin: float  # a relative accuracy change whose interval lies within it counts as none
    label_threshold: float  # difference of score and control from which a head is labelled


class Control(NamedTuple):
    """A functional group compared with random groups, see `random_controls.compare_with_random`."""

    control: str
    draws: int
    median: float
    lowest: float
    highest: float
    percentile: float
    p: float
    exhaustive: bool

    def text(self) -> str:
        """The random groups' median, number and range, in percent."""
        return (
            f"{self.control} median {percent(self.median)} ({self.draws} draws, {percent(self.lowest)} to "
            f"{percent(self.highest)})"
        )


def controls(frame: pd.DataFrame, group: str) -> list[Control]:
    """The group's controls of either kind, in the frame's order."""
    rows = frame.loc[frame["group"] == group, list(Control._fields)]
    return [Control(*row) for row in rows.itertuples(index=False)]


def layer_matched(frame: pd.DataFrame, group: str) -> Control | None:
    """The group's layer-matched control, None without one."""
    return next((control for control in controls(frame, group) if control.control == "layer_matched"), None)


def relay_heads(mediation: pd.DataFrame) -> pd.DataFrame:
    """The rows of relay heads; none where the model has no head that could be one."""
    return mediation[mediation["reader"]] if len(mediation) else mediation


def row_estimate(row: pd.Series) -> Estimate:
    """The relative accuracy change of a row of effects."""
    return Estimate(float(row[CHANGE]), float(row[f"{CHANGE}_low"]), float(row[f"{CHANGE}_high"]))


def select_rows(groups: pd.DataFrame, experiment: str) -> pd.DataFrame:
    return groups[groups["experiment"] == experiment]


def unmasked(groups: pd.DataFrame) -> pd.DataFrame:
    """The one row of the model with nothing masked."""
    return select_rows(groups, "baseline")


def estimates(groups: pd.DataFrame, experiment: str) -> dict[str, Estimate]:
    """Group -> its relative accuracy change, NaN where undefined."""
    return {str(row["group"]): row_estimate(row) for _, row in select_rows(groups, experiment).iterrows()}


def estimate(groups: pd.DataFrame, experiment: str, group: str) -> Estimate:
    """The group's relative accuracy change, NaN where it was not masked."""
    return estimates(groups, experiment).get(group, UNDEFINED)


def contrast(contrasts: pd.DataFrame, name: str) -> Estimate:
    """A row of contrasts.csv, NaN where there is none."""
    for row in contrasts[contrasts["name"] == name].to_dict("records"):
        return Estimate(float(row[CHANGE]), float(row["low"]), float(row["high"]), int(row["draws"]))
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


def heads_masked(groups: pd.DataFrame, experiment: str, group: str) -> float:
    """How many heads the group masks, NaN where the group was not masked."""
    rows = select_rows(groups, experiment)
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
    """How many pairs every group was tested on."""
    return int(_grade_counts(unmasked(groups)).sum(axis=1).iloc[0])


def grade_shares(groups: pd.DataFrame) -> pd.DataFrame:
    """Share of the predictions on each grade, one row a group, one column a grade (`predicted_0`, ...)."""
    counts = _grade_counts(groups)
    return counts.div(counts.sum(axis=1), axis=0)


def collapsed(groups: pd.DataFrame) -> pd.Series:
    """Which groups leave a model that puts nearly every pair on one grade."""
    return grade_shares(groups).max(axis=1) >= COLLAPSED


def _grade_counts(groups: pd.DataFrame) -> pd.DataFrame:
    return groups.filter(regex=r"^predicted_\d+$")
