"""Summary of a rerun: exit code, and Markdown lines on what changed and which limits are broken."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.analysis.ablation_effects import NEEDED
from pipeline.compare.diff import RunDiff, diff_runs
from pipeline.compare.run_results import RunResults
from pipeline.core.config import Limits
from pipeline.core.errors import InputError
from pipeline.core.formats import write_text
from pipeline.core.heads import Head
from pipeline.core.run_names import MODEL_METRICS, QUALITY, metric_name
from pipeline.findings.verdict import OPEN

KEPT, TO_FIX, LIMIT_BROKEN, STAGE_FAILED, LOCK_HELD, PULL_FAILED = 0, 2, 3, 4, 5, 6
SIGNALLED = 128  # plus the signal's number
LIMITED = {"grader": "accuracy_drop", "ranker": "ndcg_drop"}  # -> the key of `limits`
PRUNED = {kind: metric_name("pruning", MODEL_METRICS[kind][0]) for kind in LIMITED}  # of the smaller model
# Named whether they changed or not.
ALWAYS = [name for kind, names in QUALITY.items() for name in (*names[:2], PRUNED[kind])]
DROPS = {name: key for kind, key in LIMITED.items() for name in (QUALITY[kind][0], PRUNED[kind])}
MOST = 10  # params, heads or findings named in a line
ROUNDING = 1e-9  # 0.85 - 0.83 is a little more than 0.02


@dataclass(frozen=True)
class RerunReport:
    """Report of a rerun. code: exit code. title: outcome. points: one per line. output: of what failed, verbatim."""

    code: int
    title: str
    points: list[str] = field(default_factory=list)
    output: str = ""

    def markdown(self) -> str:
        verbatim = "\n".join(f"    {line}" for line in self.output.splitlines())
        points = "\n".join(f"- {point}" for point in self.points)
        parts = [f"# Rerun: {self.title}", f"Exit code {self.code}.", points, verbatim]
        return "\n\n".join(part for part in parts if part) + "\n"

    def publish(self, path: Path) -> None:
        """Publish the report: print it, write it to `path`, and append it to GitHub's job summary, if any.

        A file that cannot be written is named, and changes nothing about the outcome.
        """
        text = self.markdown()
        print(f"\n{text}", end="", flush=True)
        try:
            write_text(path, text)
            if job := os.environ.get("GITHUB_STEP_SUMMARY"):
                with open(job, "a", encoding="utf-8") as shared:  # other steps write there too
                    shared.write(text)
        except (InputError, OSError) as error:
            print(f"rerun: the summary was not written: {error}", file=sys.stderr)


@dataclass(frozen=True)
class Change:
    """Change of a kind of result, in a line. limit: the key of `limits` that it breaks, or empty."""

    text: str
    limit: str = ""


def judge_rerun(before: RunResults, after: RunResults, limits: Limits) -> RerunReport:
    """Judge a rerun by its changes, broken limits first.

    What one of the runs does not have (a metric, a finding) breaks no limit; a head that only one has counts as not
    needed in the other.
    """
    comparison = diff_runs(before, after)
    changes = describe_changes(comparison, limits)
    broken = [
        f"**broken:** {change.text}; limits.{change.limit} is {getattr(limits, change.limit)}"
        for change in changes
        if change.limit
    ]
    points = [*broken, f"compared with {before.name}", *(change.text for change in changes if not change.limit)]
    if broken:
        return RerunReport(LIMIT_BROKEN, "a limit is broken", points)
    return RerunReport(KEPT, "within the limits" if comparison.has_other_results else "nothing changed", points)


def describe_changes(comparison: RunDiff, limits: Limits) -> list[Change]:
    """Describe the changes, a line per kind of result that changed, and always the metrics of ALWAYS."""
    params = [f"{row.param} {row.before} -> {row.after}" for row in comparison.params.itertuples()]
    labels = Counter(comparison.labels["change"])
    return [
        *_listed("params", params),
        *_metric_changes(comparison, limits),
        *_head_changes(comparison, limits),
        *_listed("labels of heads", [f"{count} {change}" for change, count in sorted(labels.items())]),
        *_verdict_changes(comparison, limits),
    ]


def _metric_changes(comparison: RunDiff, limits: Limits) -> list[Change]:
    metrics = comparison.metrics
    changes = []
    for row in metrics[metrics["metric"].isin(ALWAYS)].to_dict("records"):
        limit = DROPS.get(row["metric"], "")
        fell = bool(limit) and -row["difference"] > getattr(limits, limit) + ROUNDING  # never where NaN
        text = f"{row['metric']} {row['before']:.4f} -> {row['after']:.4f} ({row['difference']:+.4f})"
        changes.append(Change(text, limit if fell else ""))
    others = int((~comparison.changed_metrics["metric"].isin(ALWAYS)).sum())
    return [*changes, *([Change(f"other metrics that changed: {others}")] if others else [])]


def _head_changes(comparison: RunDiff, limits: Limits) -> list[Change]:
    changed, rank = comparison.changed_heads, comparison.rank_correlation
    effects = f"heads with another effect: {len(changed)} of {len(comparison.heads)}"
    correlation = "" if rank is None else f"; rank correlation {rank:.3f}"
    turned = _turned_heads(comparison.heads)
    names = [
        f"{Head.of_row(row).name} {'became needed' if row['verdict_after'] == NEEDED else 'is no longer needed'}"
        for row in turned.to_dict("records")
    ]
    return [
        *([] if changed.empty else [Change(f"{effects}{correlation}")]),
        *_listed("needed heads", names, "needed_heads" if len(turned) > limits.needed_heads else ""),
    ]


def _turned_heads(heads: pd.DataFrame) -> pd.DataFrame:
    """Heads that became needed or are no longer needed."""
    return heads[(heads["verdict_before"] == NEEDED) != (heads["verdict_after"] == NEEDED)]


def _verdict_changes(comparison: RunDiff, limits: Limits) -> list[Change]:
    verdicts = comparison.verdicts
    decided = verdicts[["before", "after"]]
    flips = (decided.notna() & ~decided.isin(OPEN)).all(axis=1)  # agrees -> differs, or back
    lines = [f"{row.finding} {row.before} -> {row.after}" for row in verdicts[flips].itertuples()]
    others = [f"{row.finding} {row.before} -> {row.after}" for row in verdicts[~flips].itertuples()]
    if len(lines) > limits.findings:
        return [*_listed("findings", lines, "findings"), *_listed("other findings", others)]
    return _listed("findings", [*lines, *others])


def _listed(kind: str, items: Sequence[str], limit: str = "") -> list[Change]:
    more = [f"and {len(items) - MOST} more"] if len(items) > MOST else []
    return [Change(f"{kind}: {', '.join([*items[:MOST], *more])}", limit)] if items else []
