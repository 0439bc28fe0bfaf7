"""Attention maps that the explorer shows: of the pairs that most heads flip, spread over kinds of pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.attention.example_pairs import spread_pairs, strata_of_pairs
from pipeline.report.explorer.contract import AttentionMap
from pipeline.report.explorer.packing import pack_levels


def shown_pairs(pairs: pd.DataFrame, predictions: np.ndarray, count: int) -> list[int]:
    """Choose pairs to show, spread over kinds, those first that most heads flip.

    Args:
        pairs: those to choose from, see `strata_of_pairs`.
        predictions: of each, unmasked and with each head masked, [1 + head, pair].
        count: pairs wanted.
    """
    flips = (predictions[1:] != predictions[0]).sum(axis=0)
    return spread_pairs(strata_of_pairs(pairs), -flips, count)


def attention_maps(
    records: Sequence[Mapping[str, Any]], levels: Mapping[str, np.ndarray], places: Sequence[int], chosen: Sequence[int]
) -> list[AttentionMap]:
    """Packed maps of the chosen records.

    Args:
        records: of `tables.attention.EXPLORER_PAIRS`. levels: their maps, by <phase>_<record>.
        places: position of each record's pair among the explorer's pairs.
        chosen: records, by number.
    """
    return [
        AttentionMap(
            pair=places[number],
            tokens=records[number]["tokens"],
            segment=records[number]["segment"],
            length=records[number]["length"],
            before=pack_levels(before) if (before := levels.get(f"before_{number}")) is not None else None,
            after=pack_levels(levels[f"after_{number}"]),
        )
        for number in chosen
    ]


def most_that_fit(count: int, size: Callable[[int], int], limit: float) -> int:
    """The largest number up to `count` whose size is within the limit, 0 where none is; sizes rise with numbers."""
    fits, too_many = 0, count + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if size(middle) <= limit:
            fits = middle
        else:
            too_many = middle
    return fits
