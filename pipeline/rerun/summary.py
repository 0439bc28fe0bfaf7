"""How a rerun ended: its exit code, and the few lines of Markdown that say why."""

import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.analysis.ablation_effects import NEEDED
from pipeline.compare.diff import RunDiff, diff_runs
from pipeline.compare.run_results import RunResults
from pipeline.core.config import Limits
from pipeline.core.errors import InputError
from pipeline.findings.verdict import CANNOT_TELL

KEPT, TO_MEND, LIMIT_BROKEN, STAGE_FAILED, LOCK_HELD, PULL_FAILED = 0, 2, 3, 4, 5, 6
SIGNALLED = 128  # plus the signal's number


@dataclass(frozen=True)
class RerunReport:
    """code: of the exit. title: how it ended, a few words. points: one a line. output: of what failed, verbatim."""

    code: int
    title: str
    points: list[str] = field(default_factory=list)
    output: str = ""

    def markdown(self) -> str:
        verbatim = "\n".join(f"    {line}" for line in self.output.splitlines())
        listed = "\n".join(f"- {point}" for point in self.points)
        parts = [f"# Rerun: {self.title}", f"Exit code {self.code}.", listed, verbatim]
        return "\n\n".join(part for part in parts if part) + "\n"

    def tell(self, path: Path) -> None:
        """Print it, write it to `path`, and append it to GitHub's summary of the job where there is one.

        A place that cannot be written to is told, and changes nothing about the ending.
        """
        from pipeline.core.formats import write_text

        text = self.markdown()
        print(f"\n{text}", end="", flush=True)
        try:
            write_text(path, text)
            if job := os.environ.get("GITHUB_STEP_SUMMARY"):
                with open(job, "a", encoding="utf-8") as shared:  # other steps write there too
                    shared.write(text)
        except (InputError, OSError) as error:
            print(f"rerun: the summary was not kept: {error}", file=sys.stderr)


ACCURACY = "test_accuracy"
ROUNDING = 1e-9  # 0.85 - 0.83 is a little more than 0.02


def broken_limits(comparison: RunDiff, limits: Limits) -> list[str]:
    """One sentence a broken limit, with the numbers; empty where all are kept.

    What one of the runs does not have (the accuracy, a finding) breaks no limit; a head that only one has counts as not
    needed in the other.
    """
    return [
        *_accuracy_limit(comparison, limits),
        *_heads_limit(comparison, limits),
        *_findings_limit(comparison, limits),
    ]


def turned_heads(comparison: RunDiff) -> pd.DataFrame:
    """The rows of `comparison.heads` that became needed or stopped being so."""
    heads = comparison.heads
    return heads[(heads["verdict_before"] == NEEDED) != (heads["verdict_after"] == NEEDED)]


def flipped_findings(comparison: RunDiff) -> pd.DataFrame:
    """The rows of `comparison.verdicts` that went from agrees to differs or back."""
    decided = comparison.verdicts[["before", "after"]]
    return comparison.verdicts[(decided.notna() & (decided != CANNOT_TELL)).all(axis=1)]


def _accuracy_limit(comparison: RunDiff, limits: Limits) -> list[str]:
    values = comparison.metrics.set_index("metric")[["before", "after"]].reindex([ACCURACY])
    before, after = (float(values[run].iloc[0]) for run in ("before", "after"))
    if not before - after > limits.accuracy_drop + ROUNDING:  # NaN breaks nothing
        return []
    return [
        f"{ACCURACY} fell by {before - after:.4f}, from {before:.4f} to {after:.4f}; "
        f"limits.accuracy_drop is {limits.accuracy_drop}"
    ]


def _heads_limit(comparison: RunDiff, limits: Limits) -> list[str]:
    turned = turned_heads(comparison)
    if len(turned) <= limits.needed_heads:
        return []
    names = [f"layer {row.layer} head {row.head}" for row in turned.itertuples()]
    became = int((turned["verdict_after"] == NEEDED).sum())
    return [
        f"heads: {became} became needed, {len(turned) - became} stopped being so ({', '.join(names)}); "
        f"limits.needed_heads is {limits.needed_heads}"
    ]


def _findings_limit(comparison: RunDiff, limits: Limits) -> list[str]:
    flipped = flipped_findings(comparison)
    if len(flipped) <= limits.findings:
        return []
    told = [f"{row.finding}: {row.before} -> {row.after}" for row in flipped.itertuples()]
    return [f"findings: {len(told)} flipped ({', '.join(told)}); limits.findings is {limits.findings}"]


ALWAYS = ("test_accuracy", "test_qwk")  # metrics told whether they changed or not
MOST = 10  # params, heads or findings named in a line


def judge_rerun(before: RunResults, after: RunResults, limits: Limits) -> RerunReport:
    comparison = diff_runs(before, after)
    points = [f"compared with {before.name}", *describe_changes(comparison)]
    if broken := broken_limits(comparison, limits):
        return RerunReport(LIMIT_BROKEN, "a limit is broken", [*(f"**broken:** {one}" for one in broken), *points])
    return RerunReport(KEPT, "within the limits" if has_changed(comparison) else "nothing changed", points)


def has_changed(comparison: RunDiff) -> bool:
    """Whether any result differs; params alone are no result."""
    frames = (_moved(comparison.metrics), _moved(comparison.heads), comparison.labels, comparison.verdicts)
    return not all(frame.empty for frame in frames)


def describe_changes(comparison: RunDiff) -> list[str]:
    """One line for each kind of result, and none for a kind that did not change, the metrics of ALWAYS aside."""
    lines = [
        _param_changes(comparison),
        *_metric_changes(comparison),
        _head_changes(comparison),
        _label_changes(comparison),
        _verdict_changes(comparison),
    ]
    return [line for line in lines if line]


def _param_changes(comparison: RunDiff) -> str:
    return _listed("params", [f"{row.param} {row.before} -> {row.after}" for row in comparison.params.itertuples()])


def _metric_changes(comparison: RunDiff) -> list[str]:
    frame = comparison.metrics
    lines = [
        f"{row.metric} {row.before:.4f} -> {row.after:.4f} ({row.difference:+.4f})"
        for row in frame[frame["metric"].isin(ALWAYS)].itertuples()
    ]
    others = _moved(frame[~frame["metric"].isin(ALWAYS)])
    return [*lines, f"other metrics that changed: {len(others)}" if len(others) else ""]


def _head_changes(comparison: RunDiff) -> str:
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


def _label_changes(comparison: RunDiff) -> str:
    counts = Counter(comparison.labels["change"])
    return _listed("labels of heads", [f"{counts[change]} {change}" for change in sorted(counts)])


def _verdict_changes(comparison: RunDiff) -> str:
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
