"""Tables of two runs: what is set, measured and judged otherwise."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis.comparing import GAINED, LOST, Comparison
from pipeline.analysis.verdicts import percent
from pipeline.reporting.cells import signed
from pipeline.reporting.tables import SHOWN, Table

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


def params(comparison: Comparison, names: tuple[str, str]) -> Table:
    return Table("Params that differ", ["param", *names], _texts(comparison.params))


def headline(comparison: Comparison, names: tuple[str, str]) -> Table:
    """The few metrics that say most, of those that either run has."""
    found = comparison.metrics[comparison.metrics["metric"].isin(HEADLINE)]
    ordered = found.sort_values("metric", key=lambda column: column.map(HEADLINE.index))
    return Table("Headline metrics", ["metric", *names, "difference"], _numbers(ordered))


def metrics(comparison: Comparison, names: tuple[str, str]) -> Table:
    return Table("Every metric", ["metric", *names, "difference"], _numbers(comparison.metrics))


def verdicts(comparison: Comparison, names: tuple[str, str]) -> Table:
    return Table("Findings whose verdict changed", ["finding", *names], _texts(comparison.verdicts))


def turned(comparison: Comparison, names: tuple[str, str]) -> Table:
    """Heads that both runs have and judge otherwise, the most moved first."""
    heads = comparison.heads.dropna(subset=["verdict_before", "verdict_after"])
    changed = heads[heads["verdict_before"] != heads["verdict_after"]]
    return _of_heads("Heads whose verdict changed", changed, names)


def moved(comparison: Comparison, names: tuple[str, str]) -> Table:
    """The heads whose effect differs most."""
    heads = comparison.heads[comparison.heads["difference"].abs() > 0]
    table = _of_heads("Heads whose effect moved most", heads, names)
    return Table(table.caption, table.columns, table.rows[:SHOWN])


def labels(comparison: Comparison) -> Table:
    """Each function with the heads that gained and lost it, as layer.head."""
    rows = [
        [str(function), _heads_of(own, GAINED), _heads_of(own, LOST)]
        for function, own in comparison.labels.groupby("function", sort=True)
    ]
    caption = "Labels that heads (layer.head, from 0) gained and lost from the first run to the second"
    return Table(caption, ["function", GAINED, LOST], rows)


def agreement(comparison: Comparison) -> str:
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
