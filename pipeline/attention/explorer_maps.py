"""Whole attention maps for the explorer, of the pairs that `candidate_pairs` chooses, in sixteen levels.

The explorer shows those of them that most heads flip (`pipeline.report.explorer.maps`), which nobody knows before heads
are masked; hence more maps are kept than are shown.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.attention.example_pairs import MOST_MAPPED
from pipeline.attention.maps import attention_maps
from pipeline.models.tokenization import EncodedPairs, readable_tokens

LEVELS = 15  # the highest of the levels from 0, so that one takes four bits


def quantise(attention: np.ndarray) -> np.ndarray:
    """Levels 0 to 15, uint8, of attention 0 to 1: the nearest root, since most weights are small.

    A level's attention is (level / 15) ** 2, which is off by 0.066 at most, near 0 by 0.001.
    """
    return np.rint(LEVELS * np.sqrt(attention.astype(np.float64).clip(0, 1))).astype(np.uint8)


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
