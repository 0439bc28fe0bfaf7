"""Train, dev and test splits by query: given by the table, or stratified at random."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.core.errors import InputError, quote_value
from pipeline.data.deduplication import REASONS, text_key

SPLITS = ("train", "dev", "test")


def check_given_splits(pairs: pd.DataFrame, source: str) -> None:
    """Check the splits that a table brings.

    Args:
        pairs: with query and split; its index holds the records' numbers and is called what they count.
        source: the table's name, for messages.

    Raises:
        InputError: a split that is none of SPLITS, or a query in two of them.
    """
    unit = pairs.index.name
    unknown = pairs["split"][~pairs["split"].isin(SPLITS)]
    if len(unknown):
        raise InputError(
            f"{source}, {unit} {unknown.index[0]}: split {quote_value(unknown.iloc[0])} is none of "
            f"{', '.join(SPLITS)}; fix the record, or set data.columns.split to null to have the pairs split by query"
        )
    first: dict[str, tuple[int, str]] = {}
    for number, query, split in zip(pairs.index, pairs["query"], pairs["split"], strict=True):
        seen, there = first.setdefault(text_key(query), (number, split))
        if split != there and text_key(query):
            raise InputError(
                f"{source}: query {quote_value(query)} is in {there} ({unit} {seen}) and in {split} ({unit} {number}); "
                "keep each query in one split, or set data.columns.split to null to have the pairs split by query"
            )


def draw_splits(queries: np.ndarray, grades: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Draw a split for each pair: whole queries, each split's grades in the proportions of all pairs.

    Queries are taken from the one with most pairs to those with fewest, in random order among equals, and each goes
    where it brings the counts [split, grade] closest to their targets by the chi-square distance: the greedy
    stratification of Sechidis et al. 2011, "On the Stratification of Multi-label Data", over grades instead of
    labels. The large queries come first because the small ones can still even out what they leave.

    Args:
        queries: number of each pair's query, from 0 without gaps, int [pair].
        grades: from 0, int [pair].
        shares: share of the pairs for each split, summing to 1.

    Returns:
        Index into `shares`, int64 [pair].
    """
    profile = np.zeros((queries.max(initial=-1) + 1, grades.max(initial=-1) + 1))
    np.add.at(profile, (queries, grades), 1)
    targets = np.outer(shares, profile.sum(axis=0)).clip(min=np.finfo(float).tiny)
    counts = np.zeros_like(targets)
    split = np.zeros(len(profile), dtype=np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(profile))
    for query in shuffled[np.argsort(-profile[shuffled].sum(axis=1), kind="stable")]:
        added = profile[query]
        rise = (added * (added + 2 * (counts - targets)) / targets).sum(axis=1)
        split[query] = rise.argmin()
        counts[split[query]] += added
    return split[queries]


def check_complete_splits(splits: dict[str, pd.DataFrame], grades: list[str], source: str) -> None:
    """Check that every split has pairs and the training split every grade.

    Raises:
        InputError: names the empty split, or the missing grade.
    """
    sizes = ", ".join(f"{name} {len(pairs)}" for name, pairs in splits.items())
    for name, pairs in splits.items():
        if pairs.empty:
            raise InputError(
                f"{source}: the {name} split is empty (pairs: {sizes}); give more queries, or raise its share "
                "(data.dev_share, data.test_share)"
            )
    for grade, label in enumerate(grades):
        if not (splits["train"]["grade"] == grade).any():
            raise InputError(
                f"{source}: grade {label!r} does not occur in the training split (pairs: {sizes}); give it pairs of "
                "this grade, or remove the grade from data.grades"
            )


LONGEST_LABEL = 100  # characters; MLflow takes names of 250


def summarize(splits: dict[str, pd.DataFrame], reasons: pd.Series, grades: list[str]) -> dict[str, int | float]:
    """Count the pairs read, rejected and kept.

    Args:
        splits: name -> pairs with query_id and grade, each with at least one pair.
        reasons: why each pair read was set aside, "" where it was not.
        grades: the labels from worst to best.

    Returns:
        ``pairs_read``, ``rejected`` and one ``rejected_<reason>`` for each reason; for each split ``<split>_pairs``,
        ``<split>_queries``, ``<split>_titles_per_query`` (mean) and one ``<split>_share_of_grade_<label>`` a grade.
    """
    counts = reasons.value_counts()
    numbers: dict[str, int | float] = {"pairs_read": len(reasons), "rejected": int((reasons != "").sum())}
    numbers |= {f"rejected_{reason.replace(' ', '_')}": int(counts.get(reason, 0)) for reason in REASONS}
    for name, pairs in splits.items():
        queries = pairs["query_id"].nunique()
        numbers[f"{name}_pairs"] = len(pairs)
        numbers[f"{name}_queries"] = queries
        numbers[f"{name}_titles_per_query"] = len(pairs) / queries
        for grade, label in enumerate(_metric_labels(grades)):
            numbers[f"{name}_share_of_grade_{label}"] = float((pairs["grade"] == grade).mean())
    return numbers


def _metric_labels(grades: list[str]) -> list[str]:
    """Labels as parts of metric names; their numbers where that makes two alike or one too long."""
    labels = [re.sub(r"[^\w.-]+", "_", label).strip("_").lower() for label in grades]
    fit = all(0 < len(label) <= LONGEST_LABEL for label in labels) and len(set(labels)) == len(labels)
    return labels if fit else [str(grade) for grade in range(len(grades))]
