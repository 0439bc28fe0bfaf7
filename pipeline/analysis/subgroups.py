"""Subgroups of the test pairs, and the effects of masks on each."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from pipeline.ablation.head_groups import Group
from pipeline.analysis.ablation_effects import CHANGE, EvaluationSet, measure_effects
from pipeline.models.word_alignment import terms

SLICED = ("function", "user")  # group types measured on subgroups
MOST_VALUES = 20  # of a column that is sliced by; one of more is left out
TERCILES = ("low", "middle", "high")
SHOWN_MEASURES = ("accuracy", CHANGE, "logit_margin_change", "mae_change")


def subgroups(table: pd.DataFrame, columns: Iterable[str], grades: list[str]) -> pd.DataFrame:
    """Slice of each pair, text: a column per slicing, a row per pair; "" where a pair is in no slice.

    Columns of the table itself, then terciles of `term_overlap` (share of the query's distinct terms that the title
    holds) and of `query_length` (in terms), then the grade. A column of one value, or of more than MOST_VALUES, is left
    out; terciles that fall together are one part.
    """
    texts = [(terms(query), set(terms(title))) for query, title in zip(table["query"], table["title"], strict=True)]
    overlap = np.array([len(set(query) & title) / max(1, len(set(query))) for query, title in texts])
    length = np.array([len(query) for query, _ in texts])
    given = {name: table[name].fillna("").astype(str).to_numpy() for name in columns}
    parts = pd.DataFrame(given | {"term_overlap": _terciles(overlap), "query_length": _terciles(length)})
    parts["grade"] = np.array(grades)[table["grade"].to_numpy()]
    return parts[[name for name in parts if 1 < parts[name].nunique() <= MOST_VALUES]]


def _terciles(values: np.ndarray) -> np.ndarray:
    edges = np.unique(np.quantile(values, [1 / 3, 2 / 3]))
    return np.array(TERCILES)[np.searchsorted(edges, values, side="left")]


def subgroup_effects(
    groups: Sequence[Group], logits: np.ndarray, evaluated: EvaluationSet, parts: pd.DataFrame
) -> pd.DataFrame:
    """Effects of the groups of SLICED on every slice of two queries or more.

    Args:
        groups: those masked. logits: under each, [group, pair, grade].
        parts: as `subgroups` returns them.

    Returns:
        The frame of `pipeline.tables.group_ablation.SLICES`.
    """
    sliced = [number for number, group in enumerate(groups) if group.group_type in SLICED]
    names, logits = [groups[number].group for number in sliced], logits[sliced]
    rows = []
    for column in parts:
        values = set(parts[column]) - {""}
        for value in TERCILES if values <= set(TERCILES) else sorted(values):
            pairs = (parts[column] == value).to_numpy()
            part = evaluated.subset(pairs)
            if part.sample.queries < 2:
                continue
            effects = measure_effects(logits[:, pairs], part)
            shown = [f"{name}{end}" for name in SHOWN_MEASURES for end in ("", "_low", "_high")]
            sizes = {"pairs": pairs.sum(), "queries": part.sample.queries}
            keys = pd.DataFrame({"group": names, "slice": column, "value": value, **sizes})
            rows.append(pd.concat([keys, effects[[name for name in shown if name in effects]]], axis=1))
    return pd.concat(rows, ignore_index=True)
