"""Pairs whose attention maps are kept: examples for the report, and a choice for the explorer, both by a rule."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import TARGETED, Tokens, targets
from pipeline.models.tokenization import EncodedPairs, readable_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

READABLE = range(10, 31)  # tokens: maps of fewer show little, of more cannot be read
MOST_MAPPED = 40  # tokens of a map that is kept: one of 512 is 262,144 numbers a head, and its labels cannot be read
ENOUGH_SHARED = 2
CANDIDATES = 2  # pairs whose maps are kept for each one that the explorer shows


def shared_terms(tokens: Tokens) -> int:
    """Distinct terms shared by query and title."""
    matches = targets(tokens)[TARGETED.index("term_match")].any(axis=1)
    return len(np.unique(tokens.key[matches]))


def describe_pair(
    tokenizer: "PreTrainedTokenizerFast", encoded: EncodedPairs, table: pd.DataFrame, pair: int
) -> dict[str, Any]:
    """Record of an example pair: query_id, query, title, grade, tokens, segments; `table`: the pairs encoded."""
    row = table.iloc[pair]
    return {
        "query_id": int(row["query_id"]),
        "query": row["query"],
        "title": row["title"],
        "grade": row["grade"].item(),
        "tokens": readable_tokens(tokenizer, encoded, pair, (row["query"], row["title"])),
        "segment": encoded.segment[encoded.tokens(pair)].tolist(),
    }


def example_pairs(table: pd.DataFrame, encoded: EncodedPairs, tokens: Sequence[Tokens], count: int) -> list[int]:
    """`choose_example_pairs` among the rows of `table` (query_id, grade), the same pairs encoded and as tokens."""
    query_ids, grades = table["query_id"].to_numpy(), table["grade"].to_numpy()
    return choose_example_pairs(query_ids, grades, encoded.lengths, np.array(list(map(shared_terms, tokens))), count)


def choose_example_pairs(
    query_ids: np.ndarray, grades: np.ndarray, lengths: np.ndarray, shared: np.ndarray, count: int
) -> list[int]:
    """Choose example pairs, at most one per query, in the order chosen.

    One pair after another is the best of the queries not yet shown: of 10 to 30 tokens, then with two shared terms or
    more (else one), then of a grade shown least so far, then with the most shared terms; the first of equals.

    Args:
        query_ids, grades, lengths (tokens), shared (`shared_terms`): all [pair].
        count: pairs wanted; fewer are returned where there are fewer queries.
    """
    unreadable = ~np.isin(lengths, READABLE)
    lacking = ENOUGH_SHARED - np.minimum(shared, ENOUGH_SHARED)
    chosen: list[int] = []
    while len(chosen) < count:
        free = np.flatnonzero(~np.isin(query_ids, query_ids[chosen]))
        if not len(free):
            break
        shown = (grades[free, None] == grades[chosen]).sum(axis=1)
        best = np.lexsort((-shared[free], shown, lacking[free], unreadable[free]))[0]
        chosen.append(int(free[best]))
    return chosen


def spread_pairs(strata: np.ndarray, cost: np.ndarray, count: int) -> list[int]:
    """Choose pairs spread over strata, in the order chosen.

    One after another is of the stratum shown least so far, and of its pairs the one of the least cost; the first of
    equals.

    Args:
        strata: kind of each pair, whole numbers from 0, [pair].
        cost: what makes a pair a worse choice, [pair].
        count: pairs wanted; all of them, where there are fewer.
    """
    order = np.lexsort((np.arange(len(strata)), cost, strata))
    turn = np.empty(len(strata), dtype=np.int64)  # place of each pair in its stratum, the best first
    turn[order] = np.arange(len(order)) - np.searchsorted(strata[order], strata[order])
    return np.lexsort((np.arange(len(strata)), cost, turn))[:count].tolist()


def strata_of_pairs(pairs: pd.DataFrame) -> np.ndarray:
    """Kind of each pair, [pair]: by the first column that the split is sliced by, if any, and the whole grade."""
    columns = [name for name in pairs.columns if name not in ("query_id", "query", "title", "grade")][:1]
    kinds = pd.DataFrame({"grade": np.floor(pairs["grade"])}).assign(**{name: pairs[name] for name in columns})
    return kinds.groupby([*columns, "grade"], dropna=False, sort=True).ngroup().to_numpy()


def candidate_pairs(pairs: pd.DataFrame, lengths: np.ndarray, shown: int) -> list[int]:
    """Pairs whose maps are kept, where `shown` are to be shown: spread over kinds, those that can be read first.

    Args:
        pairs: test pairs on which heads are masked, with query_id, grade and the columns to slice by.
        lengths: tokens of each, [pair].
    """
    return spread_pairs(strata_of_pairs(pairs), ~np.isin(lengths, READABLE), CANDIDATES * shown)
