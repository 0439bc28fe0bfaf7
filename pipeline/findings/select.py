"""Selection of rows and estimates from the result tables, such as a group's change of a measure in groups.csv."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.heads import Head
from pipeline.findings.verdict import UNDEFINED, Estimate, percent
from pipeline.findings.wording import WORDINGS, Wording
from pipeline.stats.measure_sets import MeasureSet
from pipeline.stats.measures import Measure

COLLAPSED = 0.9  # share of the way to the constant model, in `collapse_by`, from which a masked model has collapsed

CLS_POOLING = "cls"


@dataclass(frozen=True)
class Tables:
    """The result tables and thresholds that findings are judged on."""

    heads: pd.DataFrame
    head_scales: pd.DataFrame  # measures.csv of head_ablation
    head_slices: pd.DataFrame
    groups: pd.DataFrame
    group_scales: pd.DataFrame  # measures.csv of group_ablation
    controls: pd.DataFrame
    contrasts: pd.DataFrame
    slices: pd.DataFrame
    labels: pd.DataFrame
    term_match_shift: pd.DataFrame  # term_match_shift.csv
    mediation: pd.DataFrame  # mediation.csv
    measures: MeasureSet  # of the kind of model
    primary: Measure  # decides verdicts on single heads
    largest_gains: tuple[float, float]  # of a single head, and by chance, see `largest_gain_by_chance`
    grades: Sequence[str]  # labels from worst to best; none where grades are numbers
    equivalence_margin: float  # share of the way to the constant model within which a change counts as none
    label_threshold: float  # difference of score and control from which a head is labelled
    joint_mediation: pd.DataFrame  # joint_mediation.csv
    has_before: bool = True  # whether there is a model before fine-tuning
    pooling: str = CLS_POOLING  # what the classifier reads: [CLS], or the mean of all positions

    @property
    def headline(self) -> Measure:
        """Measure by which the article's findings are judged."""
        return self.measures.headline

    @property
    def beside(self) -> tuple[Measure, ...]:
        """Measures shown beside the headline one where that decides: the primary one."""
        return () if self.primary == self.headline else (self.primary,)

    @property
    def words(self) -> Wording:
        return WORDINGS[self.measures.kind]


WHERE = {"layer_matched": "in the same layers", "unrestricted": "anywhere"}  # random groups of a kind


class Control(NamedTuple):
    """A functional group compared with random groups, see `random_controls.compare_with_random`."""

    null_type: str
    random_groups: int
    change: float
    median: float
    lowest: float
    highest: float
    percentile: float
    p: float
    exhaustive: bool

    def text(self) -> str:
        """The random groups' median, number and range, in percent."""
        return (
            f"{WHERE[self.null_type]}, median {percent(self.median)} ({self.random_groups} random groups, "
            f"{percent(self.lowest)} to {percent(self.highest)})"
        )


WHOLE = ("all", "all")  # slice and value of the undivided pairs


def controls(
    frame: pd.DataFrame,
    group: str,
    measure: Measure,
    part: tuple[str, str] = WHOLE,
    *,
    without_strongest: bool = False,
) -> list[Control]:
    """The group's controls of either kind, in the frame's order."""
    keys = {
        "group": group,
        "slice": part[0],
        "value": part[1],
        "without_strongest": without_strongest,
        "measure": measure.name,
    }
    chosen = np.all([frame[name] == value for name, value in keys.items()], axis=0)
    rows = frame.loc[chosen, list(Control._fields)]
    return [Control(*row) for row in rows.itertuples(index=False)]


def layer_matched(found: Sequence[Control]) -> Control | None:
    """The layer-matched one of the controls, None without one."""
    return next((control for control in found if control.null_type == "layer_matched"), None)


def relay_heads(mediation: pd.DataFrame, margin: Measure) -> pd.DataFrame:
    """The rows of relay heads, the strongest first: the one whose [CLS] row costs most of the margin on dev."""
    if mediation.empty:  # the model has no head that could be one
        return mediation
    return mediation[mediation["is_relay_head"]].sort_values(f"dev_cls_row_{margin.change}", kind="stable")


def row_estimate(row: pd.Series, measure: Measure) -> Estimate:
    """The change of a measure in a row of effects."""
    return _estimate(row, measure.change, measure)


def long_estimate(row: pd.Series, measure: Measure) -> Estimate:
    """The change of the measure that a row of a table with a column `measure` is about."""
    return _estimate(row, "change", measure)


def _estimate(row: pd.Series, column: str, measure: Measure) -> Estimate:
    value, low, high = (float(row[f"{column}{end}"]) for end in ("", "_low", "_high"))
    return Estimate(value, low, high, unit=unit_of(measure))


def unit_of(measure: Measure) -> str:
    """Unit that an estimate of the measure's change is shown in."""
    return "%" if measure.is_relative else measure.unit


def scale(scales: pd.DataFrame, measure: Measure) -> pd.Series:
    """The measure's row of measures.csv."""
    return scales[scales["measure"] == measure.name].iloc[0]


def size_that_matters(scales: pd.DataFrame, measure: Measure) -> float:
    """Size of a change that matters, in the unit of the measure's changes; NaN where the model knows nothing."""
    return float(scale(scales, measure)["margin"])


def beats_constant(scales: pd.DataFrame, measure: Measure) -> bool:
    """Whether the unmasked model is surely better than the constant one by the measure.

    Without that, shares of the way between them are of a span that may be none, and no masked model can collapse.
    """
    ends = scales.loc[scales["measure"] == measure.name, ["way_low", "way_high"]].to_numpy(dtype=float)
    return bool((measure.harm(ends) > 0).all())


def records(frame: pd.DataFrame) -> list[pd.Series]:
    """Rows of a frame."""
    return [row for _, row in frame.iterrows()]


def first_high_layer(heads: pd.DataFrame) -> int:
    """First layer of the upper half, as `head_groups.lower_half` divides them; 1 of a single layer."""
    return max(1, (int(heads["layer"].max()) + 1) // 2)


def labelled(labels: pd.DataFrame, *functions: str) -> list[Head]:
    """Heads that carry one of the labels."""
    return [Head.of_row(row) for row in records(labels[labels["is_labelled"] & labels["function"].isin(functions)])]


def select_rows(groups: pd.DataFrame, group_type: str) -> pd.DataFrame:
    return groups[groups["group_type"] == group_type]


def unmasked(groups: pd.DataFrame) -> pd.DataFrame:
    """The unmasked model's row."""
    return select_rows(groups, "unmasked")


def estimates(groups: pd.DataFrame, group_type: str, measure: Measure) -> dict[str, Estimate]:
    """Group -> its change, NaN where undefined."""
    return {str(row["group"]): row_estimate(row, measure) for row in records(select_rows(groups, group_type))}


def estimate(groups: pd.DataFrame, group_type: str, group: str, measure: Measure) -> Estimate:
    """The group's change, NaN where it was not masked."""
    return estimates(groups, group_type, measure).get(group, UNDEFINED)


def contrast(contrasts: pd.DataFrame, name: str, measure: Measure) -> Estimate:
    """A row of contrasts.csv, NaN where there is none."""
    rows = contrasts[(contrasts["name"] == name) & (contrasts["measure"] == measure.name)]
    for row in records(rows):
        return replace(long_estimate(row, measure), random_groups=int(row["random_groups"]))
    return UNDEFINED


SHARE = "random_share "


def share_estimates(contrasts: pd.DataFrame, measure: Measure) -> dict[float, Estimate]:
    """Share of all heads masked at random -> mean change of its groups, by rising share; undefined ones left out."""
    names = dict.fromkeys(str(name) for name in contrasts["name"] if str(name).startswith(SHARE))
    means = {float(name.removeprefix(SHARE)): contrast(contrasts, name, measure) for name in names}
    return {share: mean for share, mean in sorted(means.items()) if np.isfinite(mean.value)}


def collapsed_shares(contrasts: pd.DataFrame, measure: Measure) -> set[float]:
    """Shares of all heads whose random groups have collapsed on average, by the measure."""
    rows = contrasts[(contrasts["measure"] == measure.name) & contrasts["name"].str.startswith(SHARE)]
    fallen = rows.loc[rows["to_constant"] >= COLLAPSED, "name"]
    return {float(name.removeprefix(SHARE)) for name in fallen}


def collapsed(groups: pd.DataFrame, measure: Measure) -> pd.Series:
    """Whether a masked model has collapsed: by the measure it is hardly better than the constant one."""
    return groups[measure.to_constant] >= COLLAPSED


def have_collapsed(groups: pd.DataFrame, measure: Measure, *keys: tuple[str, str]) -> bool:
    """Whether all of these groups, (group_type, group), have collapsed."""
    fallen = groups[collapsed(groups, measure)]
    return set(keys) <= set(zip(fallen["group_type"], fallen["group"], strict=True))


def has_one_layer(groups: pd.DataFrame) -> bool:
    """Whether the model has a single layer, and so no halves."""
    return len(select_rows(groups, "layer")) == 1


def heads_masked(groups: pd.DataFrame, group_type: str, group: str) -> float:
    """Number of heads of the group, NaN where the group was not masked."""
    rows = select_rows(groups, group_type)
    return float(rows.loc[rows["group"] == group, "heads_masked"].max())


def grade_shares(groups: pd.DataFrame) -> pd.DataFrame:
    """Share of a grader's predictions on each grade, a row per group, a column per grade (`predicted_0`, ...)."""
    counts = groups.filter(regex=r"^predicted_\d+$")
    return counts.div(counts.sum(axis=1), axis=0)
