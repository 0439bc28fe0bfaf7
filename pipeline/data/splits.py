"""Train, dev and test splits by query: given by the table, or stratified at random."""

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.core.errors import InputError, quote_value
from pipeline.data.deduplication import PART_FILE, REASONS, text_key

LEAST_QUERIES = 2
SPLITS = ("train", "dev", "test")


def check_given_splits(pairs: pd.DataFrame, source: str, instead: str) -> None:
    """Check the splits that a source brings.

    Args:
        pairs: with query and split, of a folder with PART_FILE; its index holds the records' numbers and is called
            what they count.
        source: its name, for messages.
        instead: what to do to have the pairs split by query, for messages.

    Raises:
        InputError: a split that is none of SPLITS, or a query in two of them.
    """
    unknown = ~pairs["split"].isin(SPLITS).to_numpy()
    if unknown.any():
        row = int(unknown.argmax())
        raise InputError(
            f"{source}, {_place(pairs, row)}: split {quote_value(pairs['split'].iloc[row])} is none of "
            f"{', '.join(SPLITS)}; fix the record, or {instead} to have the pairs split by query"
        )
    first: dict[str, tuple[int, str]] = {}
    for row, (query, split) in enumerate(zip(pairs["query"], pairs["split"], strict=True)):
        seen, there = first.setdefault(text_key(query), (row, split))
        if split != there and text_key(query):
            raise InputError(
                f"{source}: query {quote_value(query)} is in {there} ({_place(pairs, seen)}) and in {split} "
                f"({_place(pairs, row)}); keep each query in one split, or {instead} to have the pairs split by query"
            )


def _place(pairs: pd.DataFrame, row: int) -> str:
    """Where a record stands: its number, of a folder in which part."""
    part = f" of {pairs[PART_FILE].iloc[row]}" if PART_FILE in pairs else ""
    return f"{pairs.index.name} {pairs.index[row]}{part}"


def draw_splits(queries: np.ndarray, strata: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Draw a split for each pair: whole queries, each split's strata in the proportions of all pairs.

    Queries are taken from the one with most pairs to those with fewest, in random order among equals, and each goes
    where it brings the counts [split, stratum] closest to their targets by the chi-square distance: the greedy
    stratification of Sechidis et al. 2011, "On the Stratification of Multi-label Data", over strata of
    grades instead of labels. The large queries come first because the small ones can still even out what they leave.

    Args:
        queries: number of each pair's query, from 0 without gaps, int [pair].
        strata: of the pairs' grades (`grades.grade_strata`), from 0, int [pair].
        shares: share of the pairs for each split, summing to 1.

    Returns:
        Index into `shares`, int64 [pair].
    """
    profile = np.zeros((queries.max(initial=-1) + 1, strata.max(initial=-1) + 1))
    np.add.at(profile, (queries, strata), 1)
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


def check_complete_splits(splits: dict[str, pd.DataFrame], needed: Collection[str], source: str) -> None:
    """Check that every split that is needed has pairs. Raises InputError: names the empty one."""
    for name in needed:
        if splits[name].empty:
            fine_tuned = ", or set model.fine_tuned where the model is fine-tuned already" if name == "train" else ""
            raise InputError(
                f"{source}: the {name} split is empty ({_sizes(splits)}); give more queries, or raise its share "
                f"(data.dev_share, data.test_share){fine_tuned}"
            )


def check_enough_queries(splits: dict[str, pd.DataFrame], needed: Collection[str], source: str) -> None:
    """Check that intervals over the queries of every split that is needed exist. Raises InputError: names the split."""
    for name in needed:
        queries = splits[name]["query_id"].nunique()
        if queries < LEAST_QUERIES:
            raise InputError(
                f"{source}: {name} has {queries} query ({_sizes(splits)}), and every interval is over its queries; "
                f"give at least {LEAST_QUERIES}, better hundreds: more queries, or a larger share of them "
                "(data.dev_share, data.test_share)"
            )


def check_trained_grades(splits: dict[str, pd.DataFrame], grades: list[str], source: str) -> None:
    """Check that the training split has every grade. Raises InputError: names the missing one."""
    for grade, label in enumerate(grades):
        if not (splits["train"]["grade"] == grade).any():
            raise InputError(
                f"{source}: grade {label!r} does not occur in the training split ({_sizes(splits)}); give it pairs of "
                "this grade, or remove the grade from data.grades"
            )


def _sizes(splits: dict[str, pd.DataFrame]) -> str:
    return f"pairs: {', '.join(f'{name} {len(pairs)}' for name, pairs in splits.items())}"


def count_comparable_queries(splits: dict[str, pd.DataFrame]) -> dict[str, int]:
    """Number of each split's queries with titles of different grades: measures of their order count no others."""
    return {name: int((pairs.groupby("query_id")["grade"].nunique() > 1).sum()) for name, pairs in splits.items()}


def check_comparable_queries(comparable: Mapping[str, int], needed: Collection[str], source: str) -> None:
    """Check that every split that is needed has a query whose titles can be ordered. Raises InputError: names it."""
    for name in needed:
        if not comparable[name]:
            raise InputError(
                f"{source}: no query of {name} has two titles of different grades, so that none can be ranked well or "
                "badly; give queries more titles, of several grades"
            )


LONGEST_LABEL = 100  # characters; MLflow takes names of 250


def summarize(splits: dict[str, pd.DataFrame], reasons: pd.Series, grades: list[str]) -> dict[str, int | float | None]:
    """Count the pairs read, rejected and kept.

    Args:
        splits: name -> pairs with query_id and grade.
        reasons: why each pair read was set aside, "" where it was not.
        grades: the labels from worst to best; none where grades are numbers.

    Returns:
        ``pairs_read``, ``rejected`` and one ``rejected_<reason>`` for each reason; for each split ``<split>_pairs``,
        ``<split>_queries``, ``<split>_titles_per_query`` (mean) and one ``<split>_share_of_grade_<label>`` a grade, or
        ``<split>_mean_grade`` and ``<split>_share_of_grades_above_0`` of numbers. A mean of no pairs is None.
    """
    counts = reasons.value_counts()
    numbers: dict[str, int | float | None] = {"pairs_read": len(reasons), "rejected": int((reasons != "").sum())}
    numbers |= {f"rejected_{reason.replace(' ', '_')}": int(counts.get(reason, 0)) for reason in REASONS}
    for name, pairs in splits.items():
        queries = pairs["query_id"].nunique()
        numbers[f"{name}_pairs"] = len(pairs)
        numbers[f"{name}_queries"] = queries
        numbers[f"{name}_titles_per_query"] = len(pairs) / queries if queries else None
        for key, values in _grade_indicators(pairs["grade"], grades).items():
            numbers[f"{name}_{key}"] = float(values.mean()) if queries else None
    return numbers


def _grade_indicators(found: pd.Series, grades: list[str]) -> dict[str, pd.Series]:
    """Name of a metric -> values [pair] of which it is the mean."""
    if not grades:
        return {"mean_grade": found, "share_of_grades_above_0": found > 0}
    return {f"share_of_grade_{label}": found == grade for grade, label in enumerate(_metric_labels(grades))}


def _metric_labels(grades: list[str]) -> list[str]:
    """Labels as parts of metric names; their numbers where that makes two alike or one too long."""
    labels = [re.sub(r"[^\w.-]+", "_", label).strip("_").lower() for label in grades]
    fit = all(0 < len(label) <= LONGEST_LABEL for label in labels) and len(set(labels)) == len(labels)
    return labels if fit else [str(grade) for grade in range(len(grades))]
