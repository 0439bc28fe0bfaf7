"""The article's findings judged on this run, all of them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.analysis import functional, reading_low, readings, redundancy
from pipeline.analysis.inference import bootstrap
from pipeline.analysis.verdicts import CANNOT_TELL, Estimate, Finding, Part, conclude

NEEDS_A_GRADER = ("R1", "R2", "F1", "F2", "F3", "S1", "S2", "D1", "D1-direction")


def judge(tables: readings.Tables, baseline: Finding) -> list[Finding]:
    """All findings in the article's order; `baseline` is R0, from `against_baseline`."""
    findings = [
        baseline,
        redundancy.random_heads(tables.contrasts, tables.margin),
        redundancy.layers(tables.groups, tables.contrasts),
        functional.segmentation(tables),
        functional.word_order(tables),
        functional.term_match(tables),
        functional.fine_tuning(tables.moves),
        redundancy.single_heads(tables.heads, tables.margin),
        redundancy.harmful_heads(tables.heads, tables.margin),
        reading_low.dependence(tables.readers),
        reading_low.direction(tables.readers),
    ]
    if readings.collapsed(readings.rows(tables.groups, "baseline")).all():
        return [_undecidable(finding) if finding.id in NEEDS_A_GRADER else finding for finding in findings]
    return findings


def _undecidable(finding: Finding) -> Finding:
    reason = f"Unmasked, the model already puts {readings.COLLAPSED:.0%} or more of the pairs on one grade."
    return replace(finding, verdict=CANNOT_TELL, reason=reason)


def against_baseline(bert: pd.DataFrame, baseline: pd.DataFrame, draws: int, seed: int) -> Finding:
    """R0: BERT grades more test pairs right than the BiLSTM.

    Args:
        bert, baseline: predictions on the same pairs in the same order: query_id, grade, predicted.
    """
    right, right_baseline = ((one["predicted"] == one["grade"]).to_numpy() for one in (bert, baseline))
    queries, query = np.unique(bert["query_id"], return_inverse=True)
    difference = right.astype(float) - right_baseline
    drawn = bootstrap(len(queries), draws, seed)
    low, high = drawn.interval(drawn.means(np.bincount(query, difference), np.bincount(query)))
    apart = Estimate(float(difference.mean()), float(low), float(high))
    figures = f"{right.mean():.3f} against {right_baseline.mean():.3f}"
    part = Part.judged(
        apart.above(0.0),
        yes="BERT grades more pairs right",
        no="BERT grades fewer pairs right",
        unsure="neither clearly grades more pairs right",
        figures=f"{figures}; difference {apart.text()} of all pairs",
    )
    return conclude("R0", f"test accuracy: BERT {right.mean():.3f}, BiLSTM {right_baseline.mean():.3f}", [part])
