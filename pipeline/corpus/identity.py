"""When two texts count as the same text, and numbers for what is the same."""

from collections.abc import Hashable, Iterable

import numpy as np


def text_key(text: str) -> str:
    """Equal for texts that differ only in case or in surrounding white space; empty for a blank text."""
    return text.strip().casefold()


def dense_ids(keys: Iterable[Hashable]) -> np.ndarray:
    """Number equal keys alike, from 0, in the order of first appearance: int64 [key]."""
    ids: dict[Hashable, int] = {}
    return np.fromiter((ids.setdefault(key, len(ids)) for key in keys), dtype=np.int64)


def query_ids(queries: Iterable[str]) -> np.ndarray:
    """Number the queries, int64 [pair], the same for those with the same `text_key`."""
    return dense_ids(map(text_key, queries))
