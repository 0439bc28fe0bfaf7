"""Tables of two runs: what is set, measured and judged otherwise."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compare.diff import GAINED, LOST, RunDiff
from pipeline.compare.stability import SPREAD, Stability
from pipeline.findings.verdict import percent
from pipeline.report.heatmaps import signed
from pipeline.report.tables import SHOWN, Table

HEADLINE = (
    "test_accuracy",
    "test_qwk",
    "test_mae",
    "test_log_loss",
    "baseline_test_accuracy",
    "heads_baseline_accuracy",
    "heads_needed",
    "heads_harmful",
    "heads_largest_loss",
    "heads_within_1_percent",
    "groups_lower_half",
    "groups_upper_half",
    "groups_term_match",
    "groups_random_k",
    "dependency_readers",
)
ABSENT = "not there"


def diff_params(comparison: RunDiff, names: tuple[str, str]) -> Table:
    return Table("Params that differ", ["param", *names], _texts(comparison.params))


def diff_headline(comparison: RunDiff, names: tuple[str, str]) -> Table:
    """The few metrics that say most, of those that either run has."""
    found = comparison.metrics[comparison.metrics["metric"].isin(HEADLINE)]
    ordered = found.sort_values("metric", key=lambda column: column.map(HEADLINE.index))
    return Table("Headline metrics", ["metric", *names, "difference"], _numbers(ordered))


def diff_metrics(comparison: RunDiff, names: tuple[str, str]) -> Table:
    return Table("Every metric", ["metric", *names, "difference"], _numbers(comparison.metrics))


def diff_verdicts(comparison: RunDiff, names: tuple[str, str]) -> Table:
    return Table("Findings whose verdict changed", ["finding", *names], _texts(comparison.verdicts))


def diff_needed(comparison: RunDiff, names: tuple[str, str]) -> Table:
    """Heads that both runs have and judge otherwise, the most moved first."""
    heads = comparison.heads.dropna(subset=["verdict_before", "verdict_after"])
    changed = heads[heads["verdict_before"] != heads["verdict_after"]]
    return _of_heads("Heads whose verdict changed", changed, names)


def diff_largest(comparison: RunDiff, names: tuple[str, str]) -> Table:
    """The heads whose effect differs most."""
    heads = comparison.heads[comparison.heads["difference"].abs() > 0]
    table = _of_heads("Heads whose effect moved most", heads, names)
    return Table(table.caption, table.columns, table.rows[:SHOWN])


def diff_labels(comparison: RunDiff) -> Table:
    """Each function with the heads that gained and lost it, as layer.head."""
    rows = [
        [str(function), _heads_of(own, GAINED), _heads_of(own, LOST)]
        for function, own in comparison.labels.groupby("function", sort=True)
    ]
    caption = "Labels that heads (layer.head, from 0) gained and lost from the first run to the second"
    return Table(caption, ["function", GAINED, LOST], rows)


def diff_agreement(comparison: RunDiff) -> str:
    """One sentence on whether both runs rank the heads alike."""
    if comparison.rank_correlation is None:
        return (
            "Rank correlation (Spearman) of the heads' effects: undefined, since the models differ in layers or heads, "
            "or all effects of a run are equal."
        )
    return f"Rank correlation (Spearman) of the heads' effects: {comparison.rank_correlation:.2f}."


def amount(value: float) -> str:
    """Whole numbers as they are, others with four significant digits."""
    if np.isnan(value):
        return ABSENT
    return str(int(value)) if float(value).is_integer() else f"{value:.4g}"


def records(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """The rows by column name."""
    return frame.to_dict("records")


def head(row: Mapping[Any, Any]) -> str:
    return f"layer {row['layer']} head {row['head']}"


def short(row: Mapping[Any, Any]) -> str:
    """A head as layer.head."""
    return f"{row['layer']}.{row['head']}"


def texts(row: Iterable[Any]) -> list[str]:
    """A row of texts, None as not there."""
    return [ABSENT if value is None else str(value) for value in row]


def _texts(frame: pd.DataFrame) -> list[list[str]]:
    return [texts(row) for row in frame.to_numpy()]


def _numbers(frame: pd.DataFrame) -> list[list[str]]:
    return [
        [row["metric"], amount(row["before"]), amount(row["after"]), _difference(row["difference"])]
        for row in records(frame)
    ]


def _difference(value: float) -> str:
    return "" if np.isnan(value) else f"{'+' if value > 0 else ''}{amount(value)}"


def _of_heads(caption: str, heads: pd.DataFrame, names: tuple[str, str]) -> Table:
    ordered = heads.sort_values("difference", key=lambda column: -column.abs(), kind="stable")
    rows = [
        [
            head(row),
            percent(row["before"]),
            percent(row["after"]),
            signed(100 * row["difference"]),
            row["verdict_before"],
            row["verdict_after"],
        ]
        for row in records(ordered)
    ]
    said = [f"verdict in {name}" for name in names]
    return Table(caption, ["head (from 0)", *names, "difference (points)", *said], rows)


def _heads_of(labels: pd.DataFrame, change: str) -> str:
    own = labels[labels["change"] == change]
    return ", ".join(short(row) for row in records(own)) or "none"


SPREAD_COLUMNS = ["mean", "standard deviation", "lowest", "highest"]


def stability_params(stability: Stability) -> Table:
    frame = stability.params
    rows = [[str(name), *texts(row)] for name, row in zip(frame.index, frame.to_numpy(), strict=True)]
    return Table("Params that differ between the runs", ["param", *map(str, frame.columns)], rows)


def stability_headline(stability: Stability) -> Table:
    """The few metrics that say most, of those that any run has."""
    rows = {row[0]: row for row in stability_metrics(stability).rows}
    shown = [rows[name] for name in HEADLINE if name in rows]
    return Table(f"Headline metrics over {stability.runs} runs", ["metric", *SPREAD_COLUMNS, "runs"], shown)


def stability_metrics(stability: Stability) -> Table:
    rows = [
        [row["metric"], *(amount(row[name]) for name in SPREAD), str(row["runs"])] for row in records(stability.metrics)
    ]
    return Table("Every metric over the runs that have it", ["metric", *SPREAD_COLUMNS, "runs"], rows)


def stability_needed(stability: Stability) -> Table:
    """Heads that any run needs, those needed most often and most first."""
    heads = stability.heads[stability.heads["needed"] > 0]
    ordered = heads.sort_values(["needed", "mean"], ascending=[False, True], kind="stable")
    rows = [[head(row), f"{row['needed']} of {stability.runs}", *_effect(row)] for row in records(ordered)]
    caption = f"Heads that at least one run needs: relative accuracy change over {stability.runs} runs"
    return Table(caption, ["head (from 0)", "needed in", *SPREAD_COLUMNS], rows)


def stability_verdicts(stability: Stability) -> Table:
    frame = stability.verdicts
    rows = [[str(cell) for cell in row] for row in frame.to_numpy()]
    return Table("Findings: in how many runs each verdict", [str(column) for column in frame.columns], rows)


def stability_agreement(stability: Stability) -> list[str]:
    """Two sentences: whether the runs rank the heads alike, and which heads all of them need."""
    always = ", ".join(short(row) for row in records(stability.always_needed))
    correlation = stability.rank_correlation
    said = "undefined, as a run's effects are all equal or undefined" if correlation is None else f"{correlation:.2f}"
    return [
        f"Mean rank correlation (Spearman) of the heads' effects over all pairs of runs: {said}.",
        f"Heads (layer.head, from 0) that every run needs: {always or 'none'}.",
    ]


def _effect(row: Mapping[Any, Any]) -> list[str]:
    deviation = "undefined" if np.isnan(row["deviation"]) else f"{100 * row['deviation']:.1f} points"
    return [percent(row["mean"]), deviation, percent(row["minimum"]), percent(row["maximum"])]
