"""The article's findings judged on this run, all of them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.findings import cls_dependence, functional_heads, redundancy, select
from pipeline.findings.verdict import CANNOT_TELL, Estimate, Finding, Part, conclude
from pipeline.stats.bootstrap import bootstrap

NEEDS_A_GRADER = ("R1", "R2", "F1", "F2", "F3", "S1", "S2", "D1", "D1-direction")


def judge_findings(tables: select.Tables, baseline: Finding) -> list[Finding]:
    """All findings in the article's order; `baseline` is R0, from `bert_against_bilstm`."""
    findings = [
        baseline,
        redundancy.random_heads(tables.contrasts, tables.margin),
        redundancy.layers(tables.groups, tables.contrasts),
        functional_heads.segmentation(tables),
        functional_heads.word_order(tables),
        functional_heads.term_match(tables),
        functional_heads.fine_tuning(tables.moves),
        redundancy.single_heads(tables.heads, tables.margin),
        redundancy.harmful_heads(tables.heads, tables.margin),
        cls_dependence.dependence(tables.readers),
        cls_dependence.direction(tables.readers),
    ]
    if select.collapsed(select.select_rows(tables.groups, "baseline")).all():
        return [_undecided(finding) if finding.id in NEEDS_A_GRADER else finding for finding in findings]
    return findings


def _undecided(finding: Finding) -> Finding:
    reason = f"Unmasked, the model already puts {select.COLLAPSED:.0%} or more of the pairs on one grade."
    return replace(finding, verdict=CANNOT_TELL, reason=reason)


def bert_against_bilstm(bert: pd.DataFrame, baseline: pd.DataFrame, draws: int, seed: int) -> Finding:
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
