"""Subgroups of the test pairs, and the effects of masks on each."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from pipeline.ablation.head_groups import Group
from pipeline.attention.head_functions import Tokens
from pipeline.models.word_alignment import terms
from pipeline.stats.bootstrap import LEVEL, estimate_columns
from pipeline.stats.measures import Changes, EvaluationSet, Measure, measure_changes
from pipeline.tables.group_ablation import SLICES
from pipeline.tables.head_ablation import HEAD_SLICES

SLICED = ("function", "user")  # group types measured on subgroups
MOST_VALUES = 20  # of a column that is sliced by; one of more is left out
TERCILES = ("low", "middle", "high")
MIN_QUERIES = 10  # of a slice that enters simultaneous intervals: a bootstrap of fewer would widen them all


def subgroups(
    table: pd.DataFrame, tokens: Sequence[Tokens], columns: Iterable[str], grades: Sequence[str]
) -> pd.DataFrame:
    """Slice of each pair, text: a column per slicing, a row per pair; "" where a pair is in no slice.

    Columns of the table itself, then

    - term_overlap, query_length: terciles of the share of the query's distinct terms that the title holds, and of the
      query's length in terms.
    - term_order: whether the terms that both texts hold stand in the "same" order or in an"other"; "" for one term.
    - word_pieces: whether some word of the pair is "split" into pieces by the tokenizer or all are "whole".
    - grade, by its name in `grades`, or as the number that it is where there are no names.

    A column of one value, or of more than MOST_VALUES, is left out; terciles that fall together are one part.
    """
    texts = [(terms(query), terms(title)) for query, title in zip(table["query"], table["title"], strict=True)]
    overlap = np.array([len(set(query) & set(title)) / max(1, len(set(query))) for query, title in texts])
    length = np.array([len(query) for query, _ in texts])
    computed = {"term_overlap": _terciles(overlap), "query_length": _terciles(length)}
    parts = _given(table, columns).assign(**computed)
    parts["term_order"] = [_order(*pair) for pair in texts]
    parts["word_pieces"] = ["split" if _has_split_word(pair) else "whole" for pair in tokens]
    numbers = table["grade"].to_numpy()
    parts["grade"] = np.array(grades)[numbers] if grades else [f"{number:g}" for number in numbers]
    return _dividing(parts)


def column_subgroups(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """`subgroups` by columns of the table alone."""
    return _dividing(_given(table, columns))


def _given(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    values = {name: table[name].fillna("").astype(str).to_numpy() for name in columns}
    return pd.DataFrame(values, index=range(len(table)))


def _dividing(parts: pd.DataFrame) -> pd.DataFrame:
    """Columns that divide the pairs, into no more parts than can be shown."""
    return parts[[name for name in parts if 1 < parts[name].nunique() <= MOST_VALUES]]


def _terciles(values: np.ndarray) -> np.ndarray:
    edges = np.unique(np.quantile(values, [1 / 3, 2 / 3]))
    return np.array(TERCILES)[np.searchsorted(edges, values, side="left")]


def _order(query: Sequence[str], title: Sequence[str]) -> str:
    """Order of the shared terms, each by its first place in either text."""
    shared = [term for term in dict.fromkeys(query) if term in title]
    in_title = [term for term in dict.fromkeys(title) if term in shared]
    return "" if len(shared) < 2 else "same" if shared == in_title else "other"


def _has_split_word(tokens: Tokens) -> bool:
    words = tokens.word[tokens.word >= 0]
    return len(np.unique(words)) < len(words)


def parts_of(slices: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Every slice: column, value, and the pairs in it, bool [pair]; values in their natural order."""
    for column in slices:
        values = set(slices[column]) - {""}
        for value in TERCILES if values <= set(TERCILES) else sorted(values):
            pairs = (slices[column] == value).to_numpy()
            if pairs.any():
                yield str(column), str(value), pairs


def subgroup_effects(
    groups: Sequence[Group],
    logits: np.ndarray,
    evaluated: EvaluationSet,
    slices: pd.DataFrame,
    measures: Sequence[Measure],
) -> pd.DataFrame:
    """Effects of the groups of SLICED on every slice of two queries or more, by every measure.

    Args:
        groups: those masked. logits: under each, [group, pair, output].
        slices: as `subgroups` returns them.

    Returns:
        The frame of `pipeline.tables.group_ablation.SLICES`, without rows where no slice has two queries.
    """
    sliced = [number for number, group in enumerate(groups) if group.group_type in SLICED]
    names = {"group_type": [groups[row].group_type for row in sliced], "group": [groups[row].group for row in sliced]}
    frames = []
    for column, value, pairs in parts_of(slices):
        kept, part = evaluated.part(pairs)
        if part.sample.queries > 1:
            sizes = {"slice": column, "value": value, "pairs": pairs.sum(), "queries": part.sample.queries}
            for measure in measures:
                changes = measure_changes(measure, logits[sliced][:, kept], part)
                frames.append(
                    pd.DataFrame(
                        names
                        | sizes
                        | {"measure": measure.name}
                        | estimate_columns("change", changes.changes, changes.low, changes.high)
                        | {"to_constant": changes.changes / measure.way(evaluated)}
                    )
                )
    return pd.concat(frames, ignore_index=True) if frames else SLICES.empty()


def head_slice_effects(
    heads: pd.DataFrame, logits: np.ndarray, evaluated: EvaluationSet, slices: pd.DataFrame, measure: Measure
) -> pd.DataFrame:
    """Effects of every head on every slice of MIN_QUERIES queries or more, with simultaneous intervals.

    The intervals hold all together with probability LEVEL: each is as many standard errors wide as the largest
    deviation of any cell exceeds in 1 - LEVEL of the bootstrap's resamples (the max-T method: Romano and Wolf 2005,
    Stepwise multiple testing as formalized data snooping, Econometrica 73).

    Args:
        heads: layer, head. logits: with each masked, [head, pair, output].
        slices: as `subgroups` returns them.

    Returns:
        The frame of `pipeline.tables.head_ablation.HEAD_SLICES`, without rows where no slice has enough queries.
    """
    cells, frames = [], []
    for column, value, pairs in parts_of(slices):
        kept, part = evaluated.part(pairs)
        if part.sample.queries >= MIN_QUERIES:
            changes = measure_changes(measure, logits[:, kept], part)
            sizes = {"slice": column, "value": value, "pairs": pairs.sum(), "queries": part.sample.queries}
            frames.append(heads.assign(**sizes, measure=measure.name, change=changes.changes))
            cells.append(changes)
    if not cells:
        return HEAD_SLICES.empty()
    low, high = _simultaneous(cells)
    frame = pd.concat(frames, ignore_index=True).assign(change_low=low, change_high=high)
    to_constant = frame["change"] / measure.way(evaluated)
    return frame.assign(to_constant=to_constant, is_sure=(frame["change_low"] > 0) | (frame["change_high"] < 0))


def _simultaneous(cells: Sequence[Changes]) -> tuple[np.ndarray, np.ndarray]:
    """Ends of simultaneous intervals of all changes of the cells, [cell * mask]."""
    values = np.concatenate([cell.changes for cell in cells])
    resamples = np.concatenate([cell.resamples for cell in cells])  # [cell * mask, resample]
    error = resamples.std(axis=1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviations = np.abs(resamples - values[:, None]) / error[:, None]
    width = np.quantile(np.nanmax(np.where(np.isfinite(deviations), deviations, 0), axis=0), LEVEL)
    return values - width * error, values + width * error
