"""A run beside the one before it: what changed, told in a few lines, and whether that keeps the limits."""

from collections import Counter

import pandas as pd

from pipeline.analysis.comparing import Comparison, compare
from pipeline.analysis.effects import NEEDED
from pipeline.analysis.limits import broken_limits, turned_heads
from pipeline.params import Limits
from pipeline.runs.ending import KEPT, LIMIT_BROKEN, Ending
from pipeline.runs.outcome import Outcome

ALWAYS = ("test_accuracy", "test_qwk")  # metrics told whether they changed or not
MOST = 10  # params, heads or findings named in a line


def judge(before: Outcome, after: Outcome, limits: Limits) -> Ending:
    comparison = compare(before, after)
    points = [f"compared with {before.name}", *told(comparison)]
    if broken := broken_limits(comparison, limits):
        return Ending(LIMIT_BROKEN, "a limit is broken", [*(f"**broken:** {one}" for one in broken), *points])
    return Ending(KEPT, "within the limits" if has_changed(comparison) else "nothing changed", points)


def has_changed(comparison: Comparison) -> bool:
    """Whether any result differs; params alone are no result."""
    frames = (_moved(comparison.metrics), _moved(comparison.heads), comparison.labels, comparison.verdicts)
    return not all(frame.empty for frame in frames)


def told(comparison: Comparison) -> list[str]:
    """One line for each kind of result, and none for a kind that did not change, the metrics of ALWAYS aside."""
    lines = [_params(comparison), *_metrics(comparison), _heads(comparison), _labels(comparison), _verdicts(comparison)]
    return [line for line in lines if line]


def _params(comparison: Comparison) -> str:
    return _listed("params", [f"{row.param} {row.before} -> {row.after}" for row in comparison.params.itertuples()])


def _metrics(comparison: Comparison) -> list[str]:
    frame = comparison.metrics
    lines = [
        f"{row.metric} {row.before:.4f} -> {row.after:.4f} ({row.difference:+.4f})"
        for row in frame[frame["metric"].isin(ALWAYS)].itertuples()
    ]
    others = _moved(frame[~frame["metric"].isin(ALWAYS)])
    return [*lines, f"other metrics that changed: {len(others)}" if len(others) else ""]


def _heads(comparison: Comparison) -> str:
    moved, turned = _moved(comparison.heads), turned_heads(comparison)
    if moved.empty and turned.empty:
        return ""
    names = [
        f"layer {row.layer} head {row.head} {'became needed' if row.verdict_after == NEEDED else 'is needed no more'}"
        for row in turned.itertuples()
    ]
    rank = comparison.rank_correlation
    summary = f"heads with another effect: {len(moved)} of {len(comparison.heads)}"
    return "; ".join([summary, *([f"rank correlation {rank:.3f}"] if rank is not None else []), *_shortened(names)])


def _labels(comparison: Comparison) -> str:
    counts = Counter(comparison.labels["change"])
    return _listed("labels of heads", [f"{counts[change]} {change}" for change in sorted(counts)])


def _verdicts(comparison: Comparison) -> str:
    return _listed(
        "findings", [f"{row.finding} {row.before} -> {row.after}" for row in comparison.verdicts.itertuples()]
    )


def _listed(kind: str, items: list[str]) -> str:
    return f"{kind}: {', '.join(_shortened(items))}" if items else ""


def _shortened(items: list[str]) -> list[str]:
    return items if len(items) <= MOST else [*items[:MOST], f"and {len(items) - MOST} more"]


def _moved(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose value differs, or that only one run has; undefined in both is the same."""
    same = (frame["before"] == frame["after"]) | (frame["before"].isna() & frame["after"].isna())
    return frame[~same]
