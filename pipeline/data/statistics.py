"""Statistics of a prepared corpus: pairs, queries, grades and rejections, as flat numbers."""

import re

import pandas as pd

from pipeline.data.deduplication import REASONS

LONGEST_LABEL = 100  # characters; MLflow takes names of 250


def summarize(splits: dict[str, pd.DataFrame], reasons: pd.Series, grades: list[str]) -> dict[str, int | float]:
    """Count what was read, set aside and kept.

    Args:
        splits: name -> pairs with query_id and grade, each with at least one pair.
        reasons: why each pair read was set aside, "" where it was not.
        grades: the labels from worst to best.

    Returns:
        ``pairs_read``, ``rejected`` and one ``rejected_<reason>`` for each reason; for each split ``<split>_pairs``,
        ``<split>_queries``, ``<split>_titles_per_query`` (mean) and one ``<split>_share_of_grade_<label>`` a grade.
    """
    counts = reasons.value_counts()
    numbers: dict[str, int | float] = {
        "pairs_read": len(reasons),
        "rejected": int((reasons != "").sum()),
    }
    for reason in REASONS:
        numbers[f"rejected_{reason.replace(' ', '_')}"] = int(counts.get(reason, 0))
    for name, pairs in splits.items():
        queries = pairs["query_id"].nunique()
        numbers[f"{name}_pairs"] = len(pairs)
        numbers[f"{name}_queries"] = queries
        numbers[f"{name}_titles_per_query"] = len(pairs) / queries
        for grade, label in enumerate(_metric_labels(grades)):
            numbers[f"{name}_share_of_grade_{label}"] = float((pairs["grade"] == grade).mean())
    return numbers


def _metric_labels(grades: list[str]) -> list[str]:
    """The labels as a metric's name may hold them; their numbers where that makes two alike or one too long."""
    labels = [re.sub(r"[^\w.-]+", "_", label).strip("_").lower() for label in grades]
    fit = all(0 < len(label) <= LONGEST_LABEL for label in labels) and len(set(labels)) == len(labels)
    return labels if fit else [str(grade) for grade in range(len(grades))]
