"""Tables of a comparison: differing params, metrics and verdicts of two runs, and the spread over several."""

import numpy as np
import pandas as pd

from pipeline.compare.diff import GAINED, LOST, RunDiff
from pipeline.compare.run_results import TO_CONSTANT
from pipeline.compare.stability import SPREAD, Stability
from pipeline.core.heads import Head
from pipeline.core.run_names import QUALITY
from pipeline.findings.verdict import percent
from pipeline.findings.wording import WORDINGS
from pipeline.report.heatmaps import signed
from pipeline.report.tables import SHOWN, Table
from pipeline.stats.measure_sets import KINDS

GROUPS = ("lower_half", "upper_half", "term_match", "random_k")
HEADLINE = (  # those of either kind of model; a run has its own
    *(name for names in QUALITY.values() for name in names),
    "headline/needed_heads",
    "headline/harmful_heads",
    "headline/inert_heads",
    "grading/test_mae",
    *(f"grading/test_{measures.default_primary.name}" for measures in KINDS),
    *(f"heads/{measures.headline.name}_unmasked" for measures in KINDS),
    "heads/no_effect",
    "heads/undecided",
    *(f"groups/{group}_{measures.headline.to_constant}" for measures in KINDS for group in GROUPS),
    "mediation/relay_heads",
)
ABSENT = "missing"
HEAD_COLUMN = "head (from 0)"
SPREAD_COLUMNS = ["mean", "standard deviation", "lowest", "highest"]

Names = tuple[str, str]  # of the two runs


def diff_params(comparison: RunDiff, names: Names) -> Table:
    return Table("Params that differ", ["param", *names], _texts(comparison.params))


def diff_headline(comparison: RunDiff, names: Names) -> Table:
    """Headline metrics that either run has; no row where all are the same."""
    shown = comparison.metrics[comparison.metrics["metric"].isin(HEADLINE)]
    changed = comparison.changed_metrics["metric"].isin(HEADLINE).any()
    ordered = shown.sort_values("metric", key=lambda column: column.map(HEADLINE.index)) if changed else shown[:0]
    return _metrics("Headline metrics", ordered, names)


def diff_metrics(comparison: RunDiff, names: Names) -> Table:
    return _metrics("All metrics", comparison.metrics, names)


def diff_verdicts(comparison: RunDiff, names: Names) -> Table:
    return Table("Findings whose verdict changed", ["finding", *names], _texts(comparison.verdicts))


def diff_needed(comparison: RunDiff, names: Names) -> Table:
    """Heads of both runs whose verdict differs, the largest difference first."""
    heads = comparison.heads.dropna(subset=["verdict_before", "verdict_after"])
    changed = heads[heads["verdict_before"] != heads["verdict_after"]]
    return _heads(f"Heads whose verdict changed{_what_is_shown(comparison)}", changed, names)


def _what_is_shown(comparison: RunDiff) -> str:
    words = WORDINGS[comparison.measures.kind]
    return f": relative {words.headline} change, and the primary measure's share of the way to the {words.constant}"


def diff_largest(comparison: RunDiff, names: Names) -> Table:
    """The heads whose effect differs most."""
    changed = comparison.heads[comparison.heads["difference"].abs() > 0]
    table = _heads(f"Heads whose effect differs most{_what_is_shown(comparison)}", changed, names)
    return Table(table.caption, table.columns, table.rows[:SHOWN])


def diff_labels(comparison: RunDiff) -> Table:
    """Heads that gained or lost a label, as layer.head, by function."""
    rows = [
        [str(function), *(_short_names(labels[labels["change"] == change]) for change in (GAINED, LOST))]
        for function, labels in comparison.labels.groupby("function", sort=True)
    ]
    caption = "Labels that heads (layer.head, from 0) gained and lost from the first run to the second"
    return Table(caption, ["function", GAINED, LOST], rows)


def diff_agreement(comparison: RunDiff) -> str:
    """Sentence on the rank correlation of head effects in both runs."""
    if comparison.rank_correlation is None:
        return (
            "Rank correlation (Spearman) of the heads' effects by the primary measure: undefined, since the models "
            "differ in layers or heads, or all effects of a run are equal."
        )
    return (
        f"Rank correlation (Spearman) of the heads' effects by the primary measure: {comparison.rank_correlation:.2f}."
    )


INTERVALS = (
    "Intervals of a head's difference are made from those of its effect in either run, taken as independent estimates "
    "(distances to the ends, squared, summed, the root taken; MOVER). They allow for the sample of test pairs, not for "
    "the seed nor for choosing among all heads; of runs on the same test pairs they are rather too wide."
)


def stability_params(stability: Stability) -> Table:
    frame = stability.params
    return Table("Params that differ between the runs", ["param", *frame.columns], _texts(frame.reset_index()))


def stability_headline(stability: Stability) -> Table:
    """Headline metrics that any run has."""
    table = stability_metrics(stability)
    rows = {row[0]: row for row in table.rows}
    shown = [rows[name] for name in HEADLINE if name in rows]
    return Table(f"Headline metrics over {stability.runs} runs", table.columns, shown)


def stability_metrics(stability: Stability) -> Table:
    rows = [
        [row["metric"], *(_amount(row[name]) for name in SPREAD), str(row["runs"])]
        for row in stability.metrics.to_dict("records")
    ]
    return Table("All metrics over the runs that have them", ["metric", *SPREAD_COLUMNS, "runs"], rows)


def stability_needed(stability: Stability) -> Table:
    """Heads needed in any run, those needed most often and most first."""
    heads = stability.heads[stability.heads["needed"] > 0]
    rows = []
    for row in heads.sort_values(["needed", "mean"], ascending=[False, True], kind="stable").to_dict("records"):
        deviation = "undefined" if np.isnan(row["deviation"]) else f"{100 * row['deviation']:.1f} points"
        effect = [percent(row["mean"]), deviation, percent(row["minimum"]), percent(row["maximum"])]
        rows.append([Head.of_row(row).name, f"{row['needed']} of {stability.runs}", *effect])
    measure = stability.measures.headline.label
    caption = f"Heads needed in at least one run: relative {measure} change over {stability.runs} runs"
    return Table(caption, [HEAD_COLUMN, "needed in", *SPREAD_COLUMNS], rows)


def stability_verdicts(stability: Stability) -> Table:
    frame = stability.verdicts
    return Table("Findings: number of runs by verdict", list(frame.columns), _texts(frame))


def stability_agreement(stability: Stability) -> list[str]:
    """Sentences on the rank correlation of head effects over the runs, and on the heads needed in all."""
    mean = stability.rank_correlation
    correlation = "undefined, as a run's effects are all equal or undefined" if mean is None else f"{mean:.2f}"
    return [
        "Mean rank correlation (Spearman) of the heads' effects by the primary measure over all pairs of runs: "
        f"{correlation}.",
        f"Heads (layer.head, from 0) needed in every run: {_short_names(stability.always_needed)}.",
    ]


def _metrics(caption: str, metrics: pd.DataFrame, names: Names) -> Table:
    rows = [
        [row["metric"], _amount(row["before"]), _amount(row["after"]), _difference(row["difference"])]
        for row in metrics.to_dict("records")
    ]
    return Table(caption, ["metric", *names, "difference"], rows)


def _heads(caption: str, heads: pd.DataFrame, names: Names) -> Table:
    ordered = heads.sort_values("difference", key=lambda column: -column.abs(), kind="stable")
    rows = []
    for row in ordered.to_dict("records"):
        shares = [percent(row[f"{TO_CONSTANT}_{run}"]) for run in ("before", "after")]
        interval = _interval(row["difference_low"], row["difference_high"])
        effects = [percent(row["before"]), percent(row["after"]), signed(100 * row["difference"]), interval, *shares]
        rows.append([Head.of_row(row).name, *effects, row["verdict_before"], row["verdict_after"]])
    verdicts = [f"verdict in {name}" for name in names]
    shares = [f"% of the way in {name}" for name in names]
    difference = ["difference (points)", "its 95% interval"]
    return Table(caption, [HEAD_COLUMN, *names, *difference, *shares, *verdicts], rows)


def _interval(low: float, high: float) -> str:
    return "undefined" if np.isnan([low, high]).any() else f"{signed(100 * low)} to {signed(100 * high)}"


def _short_names(heads: pd.DataFrame) -> str:
    return ", ".join(Head.of_row(row).short for row in heads.to_dict("records")) or "none"


def _texts(frame: pd.DataFrame) -> list[list[str]]:
    return [[ABSENT if value is None else str(value) for value in row] for row in frame.to_numpy(dtype=object)]


def _amount(value: float) -> str:
    """Amount as text: integers in full, others with four significant digits."""
    if np.isnan(value):
        return ABSENT
    return str(int(value)) if float(value).is_integer() else f"{value:.4g}"


def _difference(value: float) -> str:
    return "" if np.isnan(value) else f"{'+' if value > 0 else ''}{_amount(value)}"
