"""Differences between two runs: params, headline metrics, every head's effect and labels, the findings' verdicts.

The intervals of differences allow for the sample of pairs. Nothing here says what another seed would change: two runs
are two models, and one seed each.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compare.run_results import CHANGE, ENDS, TO_CONSTANT, RunResults, check_one_kind
from pipeline.core.heads import Head
from pipeline.stats.measure_sets import MeasureSet
from pipeline.stats.metrics import none_if_nan

HEAD = list(Head._fields)  # the columns that name a head
LABEL = [*HEAD, "function"]
GAINED, LOST = "gained", "lost"


@dataclass(frozen=True)
class RunDiff:
    """Differences between two runs.

    params: param, before, after of those that differ; None where a run has it not.
    metrics: metric, before, after, difference (after - before) of all metrics; NaN where a run has it not.
    heads: layer, head, before, after, difference (relative changes of the headline measure, as shares of its unmasked
        value), difference_low and _high (see `difference_interval`), to_constant_before and _after (see
        `RunResults.heads`), verdict_before, verdict_after: every head of either run, NaN and None where a run has it
        not.
    rank_correlation: Spearman's, of the heads' effects by the primary measure, -1 to 1; None where the models' shapes
        differ, or where all effects of a run are equal.
    labels: layer, head, function, change (gained or lost), of the heads that both runs have.
    verdicts: finding, before, after of those that changed; None where a run did not judge it.
    measures: of both runs' kind of model.
    """

    params: pd.DataFrame
    metrics: pd.DataFrame
    heads: pd.DataFrame
    rank_correlation: float | None
    labels: pd.DataFrame
    verdicts: pd.DataFrame
    measures: MeasureSet

    @property
    def changed_metrics(self) -> pd.DataFrame:
        return _changed(self.metrics)

    @property
    def changed_heads(self) -> pd.DataFrame:
        """The rows of `heads` whose effect differs, or that only one run has."""
        return _changed(self.heads)

    @property
    def has_other_results(self) -> bool:
        """Whether any result differs; params are not results."""
        return not all(frame.empty for frame in (self.changed_metrics, self.changed_heads, self.labels, self.verdicts))


def diff_runs(before: RunResults, after: RunResults) -> RunDiff:
    """Compute the differences of `after` from `before`. The models may have different numbers of layers and heads.

    Raises:
        InputError: one is a grader, the other a ranker.
    """
    check_one_kind([before, after])
    heads = _heads(before.heads, after.heads)
    return RunDiff(
        params=_differing("param", before.params, after.params),
        metrics=_metrics(before.metrics, after.metrics),
        heads=heads,
        rank_correlation=rank_correlation(before.heads, after.heads),
        labels=_labels(before.labels, after.labels, shared=_shared(before.heads, after.heads)),
        verdicts=_differing("finding", before.verdicts, after.verdicts),
        measures=before.measures,
    )


def rank_correlation(before: pd.DataFrame, after: pd.DataFrame) -> float | None:
    """Spearman's correlation of the heads' effects by the primary measure; None where undefined, or of other heads."""
    both = _shared(before, after)
    if not len(both) == len(before) == len(after):
        return None
    ranks = both[[f"{TO_CONSTANT}_before", f"{TO_CONSTANT}_after"]].dropna().rank()
    if (ranks.nunique() < 2).any():
        return None
    return none_if_nan(float(ranks.iloc[:, 0].corr(ranks.iloc[:, 1])))


def same_value(first: str | None, second: str | None) -> bool:
    """Whether two texts of params mean the same value: 0 is 0.0, spaces inside a list do not count."""
    return first == second or (first is not None and second is not None and _value(first) == _value(second))


def names_of(runs: list[Mapping[str, Any]]) -> list[str]:
    """Names that any of the runs has, in order of first appearance."""
    return list(dict.fromkeys(name for run in runs for name in run))


def _changed(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose value differs, or that only one run has; undefined in both is the same."""
    same = (frame["before"] == frame["after"]) | (frame["before"].isna() & frame["after"].isna())
    return frame[~same]


def _differing(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> pd.DataFrame:
    rows = [(name, before.get(name), after.get(name)) for name in names_of([before, after])]
    changed = [(name, old, new) for name, old, new in rows if not same_value(old, new)]
    return pd.DataFrame(changed, columns=[what, "before", "after"], dtype=object)


def _metrics(before: Mapping[str, float], after: Mapping[str, float]) -> pd.DataFrame:
    names = names_of([before, after])
    old, new = (np.array([run.get(name, np.nan) for name in names], dtype=float) for run in (before, after))
    return pd.DataFrame({"metric": names, "before": old, "after": new, "difference": new - old})


def _heads(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    both = before.merge(after, on=HEAD, how="outer", suffixes=("_before", "_after")).sort_values(HEAD)
    columns: dict[str, Any] = {
        "before": both[f"{CHANGE}_before"].astype(float),
        "after": both[f"{CHANGE}_after"].astype(float),
    }
    columns["difference"] = columns["after"] - columns["before"]
    estimates = (both[[f"{CHANGE}{end}_{run}" for end in ("", *ENDS)]].to_numpy(float) for run in ("before", "after"))
    columns["difference_low"], columns["difference_high"] = difference_interval(*estimates)
    columns |= {f"{TO_CONSTANT}_{run}": both[f"{TO_CONSTANT}_{run}"].astype(float) for run in ("before", "after")}
    for verdict in ("verdict_before", "verdict_after"):
        columns[verdict] = both[verdict].astype(object).where(both[verdict].notna(), None)
    return both[HEAD].assign(**columns).reset_index(drop=True)


def difference_interval(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95% interval of after - before, from the intervals of both, which are taken as independent.

    The distances of both values to those of their ends that make the difference smaller are squared, summed and the
    root taken, and so for the larger (MOVER: Zou and Donner 2008), which allows for lopsided intervals. Of runs that
    share test pairs the estimates move together, and the interval is rather too wide.

    Args:
        before, after: value, lower and upper end, [..., 3].

    Returns:
        Lower and upper ends, [...]; NaN where any number is.
    """
    (value, low, high), (later, later_low, later_high) = (np.moveaxis(estimate, -1, 0) for estimate in (before, after))
    difference = later - value
    return (
        difference - np.hypot(later - later_low, high - value),
        difference + np.hypot(later_high - later, value - low),
    )


def _shared(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    return before.merge(after, on=HEAD, suffixes=("_before", "_after"))


def _labels(before: pd.DataFrame, after: pd.DataFrame, shared: pd.DataFrame) -> pd.DataFrame:
    both = before[LABEL].merge(after[LABEL], on=LABEL, how="outer", indicator="change").merge(shared[HEAD], on=HEAD)
    moved = both[both["change"] != "both"].sort_values(LABEL).reset_index(drop=True)
    return moved.assign(change=moved["change"].astype(str).map({"left_only": LOST, "right_only": GAINED}))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
