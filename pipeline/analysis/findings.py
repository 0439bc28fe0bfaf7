"""The article's findings judged on this run, all of them."""

from dataclasses import replace

import pandas as pd

from pipeline.analysis import functional, readings, redundancy
from pipeline.analysis.verdicts import CANNOT_TELL, Finding

NEEDS_A_GRADER = ("R1", "R2", "F1", "F2", "F3", "S1")


def judge(heads: pd.DataFrame, groups: pd.DataFrame, profiles: pd.DataFrame) -> list[Finding]:
    """All findings in the article's order.

    Args:
        heads: one row a head masked alone (heads.csv).
        groups: one row a group masked together (groups.csv).
        profiles: one row a layer, head, function and phase (profiles.csv).
    """
    findings = [
        redundancy.random_heads(groups),
        redundancy.layers(groups),
        functional.segmentation(groups, profiles),
        functional.word_order(groups, profiles),
        functional.term_match(groups),
        functional.fine_tuning(profiles),
        redundancy.single_heads(heads, readings.pairs(groups)),
    ]
    if readings.collapsed(readings.rows(groups, "baseline")).all():
        return [_undecidable(finding) if finding.id in NEEDS_A_GRADER else finding for finding in findings]
    return findings


def _undecidable(finding: Finding) -> Finding:
    reason = f"Unmasked, the model already puts {readings.COLLAPSED:.0%} or more of the pairs on one grade."
    return replace(finding, verdict=CANNOT_TELL, reason=reason)
