"""Whole attention maps for the explorer: test pairs spread over kinds of pairs, their maps in sixteen levels.

The explorer shows those of them that most heads flip (`pipeline.report.explorer.maps`), which nobody knows before heads
are masked; hence the maps of more pairs than are shown are kept.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.attention.example_pairs import MOST_MAPPED, READABLE
from pipeline.attention.maps import attention_maps, readable_tokens
from pipeline.models.tokenization import EncodedPairs

CANDIDATES = 2  # pairs kept for each one that is shown
LEVELS = 15  # the highest of the levels from 0, so that one takes four bits


def quantise(attention: np.ndarray) -> np.ndarray:
    """Levels 0 to 15, uint8, of attention 0 to 1: the nearest root, since most weights are small.

    A level's attention is (level / 15) ** 2, which is off by 0.066 at most, near 0 by 0.001.
    """
    return np.rint(LEVELS * np.sqrt(attention.astype(np.float64).clip(0, 1))).astype(np.uint8)


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


def level_maps(
    models: Mapping[str, PreTrainedModel], encoded: EncodedPairs, chosen: list[int]
) -> dict[str, np.ndarray]:
    """Levels of whole maps, uint8 [layer, head, query, key], named <phase>_<number>; the first tokens of long pairs."""
    return {
        f"{phase}_{number}": quantise(attention[..., :MOST_MAPPED, :MOST_MAPPED])
        for phase, model in models.items()
        for number, attention in enumerate(attention_maps(model, encoded, chosen))
    }


def describe_mapped_pair(
    tokenizer: PreTrainedTokenizerFast, encoded: EncodedPairs, pairs: pd.DataFrame, row: int, pair: int
) -> dict[str, Any]:
    """Record of `tables.attention.EXPLORER_PAIRS`; `row`: of the pair in the test split."""
    tokens = readable_tokens(tokenizer, encoded, pair, (pairs["query"].iloc[pair], pairs["title"].iloc[pair]))
    segment = encoded.segment[encoded.tokens(pair)].tolist()
    return {
        "row": row,
        "tokens": tokens[:MOST_MAPPED],
        "segment": segment[:MOST_MAPPED],
        "length": len(tokens),
    }
