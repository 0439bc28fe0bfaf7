"""All findings of the article judged on this run."""

from dataclasses import replace

from pipeline.findings import cls_dependence, functional_heads, redundancy, select
from pipeline.findings.verdict import CANNOT_TELL, NOT_JUDGED, Finding
from pipeline.stats.measure_sets import RANKER

OF_ANY_MODEL = ("R0",)  # findings that a model which learned nothing can decide
BY_HEADLINE = ("R1", "R2", "F3")  # findings whose figures are changes of the headline measure, in the article accuracy


def judge_findings(tables: select.Tables, baselines: Finding) -> list[Finding]:
    """All findings in the article's order; `baselines` is R0, from `findings.baselines`."""
    findings = [
        baselines,
        redundancy.random_heads(tables),
        redundancy.layers(tables),
        functional_heads.segmentation(tables),
        functional_heads.word_order(tables),
        functional_heads.term_match(tables),
        functional_heads.fine_tuning(tables),
        redundancy.single_heads(tables),
        redundancy.harmful_heads(tables),
        cls_dependence.dependence(tables),
        cls_dependence.direction(tables),
    ]
    if tables.measures is RANKER:
        findings = [_by_another_measure(finding, tables) for finding in findings]
    if not select.beats_constant(tables.group_scales, tables.measures.collapse_by):
        return [finding if _is_decided(finding) else _undecided(finding, tables) for finding in findings]
    return findings


def _by_another_measure(finding: Finding, tables: select.Tables) -> Finding:
    """The finding with the measure that judged it, and what of the article does not carry over to that."""
    if finding.id not in BY_HEADLINE:
        return finding
    label = tables.headline.label
    note = f"By {label}: the article's percentages are changes of accuracy, which these cannot be set beside."
    return replace(finding, measured=f"by {label}: {finding.measured}", reason=f"{finding.reason} {note}")


def _is_decided(finding: Finding) -> bool:
    """Whether it stands of a model that is no better than the constant one."""
    return finding.id in OF_ANY_MODEL or finding.verdict == NOT_JUDGED


def _undecided(finding: Finding, tables: select.Tables) -> Finding:
    return replace(finding, verdict=CANNOT_TELL, reason=f"Unmasked, the model is not shown to {tables.words.beats}.")
