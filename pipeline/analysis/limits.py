"""How far a run may move from the one before it: the limits of params.yaml, and which of them a comparison breaks."""

import pandas as pd

from pipeline.analysis.comparing import Comparison
from pipeline.analysis.effects import NEEDED
from pipeline.analysis.verdicts import CANNOT_TELL
from pipeline.params import Limits

ACCURACY = "test_accuracy"
ROUNDING = 1e-9  # 0.85 - 0.83 is a little more than 0.02


def broken_limits(comparison: Comparison, limits: Limits) -> list[str]:
    """One sentence a broken limit, with the numbers; empty where all are kept.

    What one of the runs does not have (the accuracy, a finding) breaks no limit; a head that only one has counts as not
    needed in the other.
    """
    return [*_accuracy(comparison, limits), *_heads(comparison, limits), *_findings(comparison, limits)]


def turned_heads(comparison: Comparison) -> pd.DataFrame:
    """The rows of `comparison.heads` that became needed or stopped being so."""
    heads = comparison.heads
    return heads[(heads["verdict_before"] == NEEDED) != (heads["verdict_after"] == NEEDED)]


def flipped_findings(comparison: Comparison) -> pd.DataFrame:
    """The rows of `comparison.verdicts` that went from agrees to differs or back."""
    decided = comparison.verdicts[["before", "after"]]
    return comparison.verdicts[(decided.notna() & (decided != CANNOT_TELL)).all(axis=1)]


def _accuracy(comparison: Comparison, limits: Limits) -> list[str]:
    values = comparison.metrics.set_index("metric")[["before", "after"]].reindex([ACCURACY])
    before, after = (float(values[run].iloc[0]) for run in ("before", "after"))
    if not before - after > limits.accuracy_drop + ROUNDING:  # NaN breaks nothing
        return []
    return [
        f"{ACCURACY} fell by {before - after:.4f}, from {before:.4f} to {after:.4f}; "
        f"limits.accuracy_drop is {limits.accuracy_drop}"
    ]


def _heads(comparison: Comparison, limits: Limits) -> list[str]:
    turned = turned_heads(comparison)
    if len(turned) <= limits.needed_heads:
        return []
    names = [f"layer {row.layer} head {row.head}" for row in turned.itertuples()]
    became = int((turned["verdict_after"] == NEEDED).sum())
    return [
        f"heads: {became} became needed, {len(turned) - became} stopped being so ({', '.join(names)}); "
        f"limits.needed_heads is {limits.needed_heads}"
    ]


def _findings(comparison: Comparison, limits: Limits) -> list[str]:
    flipped = flipped_findings(comparison)
    if len(flipped) <= limits.findings:
        return []
    told = [f"{row.finding}: {row.before} -> {row.after}" for row in flipped.itertuples()]
    return [f"findings: {len(told)} flipped ({', '.join(told)}); limits.findings is {limits.findings}"]
