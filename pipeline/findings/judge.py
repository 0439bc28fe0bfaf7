"""All findings of the article judged on this run."""

from dataclasses import replace

import pandas as pd

from pipeline.findings import cls_dependence, functional_heads, redundancy, select
from pipeline.findings.verdict import CANNOT_TELL, Estimate, Finding, Part, conclude
from pipeline.stats.bootstrap import QuerySample

OF_ANY_MODEL = ("R0",)  # findings that a model which learned nothing can decide


def judge_findings(tables: select.Tables, bert_finding: Finding) -> list[Finding]:
    """All findings in the article's order; `bert_finding` is R0, from `bert_against_bilstm`."""
    findings = [
        bert_finding,
        redundancy.random_heads(tables),
        redundancy.layers(tables),
        functional_heads.segmentation(tables),
        functional_heads.word_order(tables),
        functional_heads.term_match(tables),
        functional_heads.fine_tuning(tables.term_match_shift),
        redundancy.single_heads(tables),
        redundancy.harmful_heads(tables),
        cls_dependence.dependence(tables.mediation, tables.joint_mediation),
        cls_dependence.direction(tables.mediation),
    ]
    if not select.beats_constant(tables.group_scales):
        return [finding if finding.id in OF_ANY_MODEL else _undecided(finding) for finding in findings]
    return findings


def _undecided(finding: Finding) -> Finding:
    reason = (
        "Unmasked, the model is not shown to grade better than one that knows the grades' shares alone (qwk above 0)."
    )
    return replace(finding, verdict=CANNOT_TELL, reason=reason)


def bert_against_bilstm(bert: pd.DataFrame, bilstm: pd.DataFrame, resamples: int, seed: int) -> Finding:
    """R0: BERT grades more test pairs right than the BiLSTM.

    Args:
        bert, bilstm: predictions on the same pairs in the same order: query_id, grade, predicted.
        resamples: of the cluster bootstrap by query.
    """
    bert_right, bilstm_right = ((model["predicted"] == model["grade"]).to_numpy() for model in (bert, bilstm))
    difference = bert_right.astype(float) - bilstm_right
    low, high = QuerySample(bert["query_id"].to_numpy(), resamples, seed).interval(difference)
    estimate = Estimate(float(difference.mean()), float(low), float(high))
    part = Part.of(
        estimate.above(0.0),
        yes="BERT grades more pairs right",
        no="BERT grades fewer pairs right",
        unsure="neither is shown to grade more pairs right",
        figures=f"{bert_right.mean():.3f} against {bilstm_right.mean():.3f}, one training run each; "
        f"difference in points {estimate.text()}",
    )
    return conclude("R0", f"test accuracy: BERT {bert_right.mean():.3f}, BiLSTM {bilstm_right.mean():.3f}", [part])
