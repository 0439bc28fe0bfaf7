"""Tables of several runs: what differs between them, how metrics and heads spread, how often a finding holds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.analysis.stability import SPREAD, Stability
from pipeline.analysis.verdicts import percent
from pipeline.reporting.comparison_tables import HEADLINE, amount, head, records, short, texts
from pipeline.reporting.tables import Table

COLUMNS = ["mean", "standard deviation", "lowest", "highest"]


def params(stability: Stability) -> Table:
    frame = stability.params
    rows = [[str(name), *texts(row)] for name, row in zip(frame.index, frame.to_numpy(), strict=True)]
    return Table("Params that differ between the runs", ["param", *map(str, frame.columns)], rows)


def headline(stability: Stability) -> Table:
    """The few metrics that say most, of those that any run has."""
    rows = {row[0]: row for row in metrics(stability).rows}
    shown = [rows[name] for name in HEADLINE if name in rows]
    return Table(f"Headline metrics over {stability.runs} runs", ["metric", *COLUMNS, "runs"], shown)


def metrics(stability: Stability) -> Table:
    rows = [
        [row["metric"], *(amount(row[name]) for name in SPREAD), str(row["runs"])] for row in records(stability.metrics)
    ]
    return Table("Every metric over the runs that have it", ["metric", *COLUMNS, "runs"], rows)


def needed(stability: Stability) -> Table:
    """Heads that any run needs, those needed most often and most first."""
    heads = stability.heads[stability.heads["needed"] > 0]
    ordered = heads.sort_values(["needed", "mean"], ascending=[False, True], kind="stable")
    rows = [[head(row), f"{row['needed']} of {stability.runs}", *_effect(row)] for row in records(ordered)]
    caption = f"Heads that at least one run needs: relative accuracy change over {stability.runs} runs"
    return Table(caption, ["head (from 0)", "needed in", *COLUMNS], rows)


def verdicts(stability: Stability) -> Table:
    frame = stability.verdicts
    rows = [[str(cell) for cell in row] for row in frame.to_numpy()]
    return Table("Findings: in how many runs each verdict", [str(column) for column in frame.columns], rows)


def agreement(stability: Stability) -> list[str]:
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
