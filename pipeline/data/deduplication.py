"""Deduplication: pairs that cannot be learnt from are rejected, each with a reason."""

from collections.abc import Callable, Hashable, Iterable
from hashlib import blake2b
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd

EMPTY_QUERY = "empty query"
EMPTY_TITLE = "empty title"
CONFLICT = "conflicting duplicate"
DUPLICATE = "duplicate"
PART_FILE = "part_file"  # column of pairs that are read from a folder's parts
REASONS = (EMPTY_QUERY, EMPTY_TITLE, CONFLICT, DUPLICATE)


def rejection_reasons(pairs: pd.DataFrame) -> pd.Series:
    """Reason why each pair is rejected, "" where it is not.

    Two pairs are the same when their queries and their titles are, by `text_key`. Of the same pair with
    one grade the first is kept; with several grades none is, since nothing says which of them is right.

    Args:
        pairs: with query, title and grade.

    Returns:
        One of REASONS or "", with the index of `pairs`.
    """
    digests = b"".join(_digest(query, title) for query, title in zip(pairs["query"], pairs["title"], strict=True))
    first, second = np.frombuffer(digests, dtype=np.int64).reshape(-1, 2).T
    same = pd.DataFrame({"pair": pd.DataFrame({"a": first, "b": second}).groupby(["a", "b"], sort=False).ngroup()})
    same["grade"] = pairs["grade"].to_numpy()
    reason = np.select(
        [
            np.fromiter((not text_key(query) for query in pairs["query"]), dtype=bool),
            np.fromiter((not text_key(title) for title in pairs["title"]), dtype=bool),
            (same.groupby("pair")["grade"].transform("nunique") > 1).to_numpy(),
            same.duplicated("pair").to_numpy(),
        ],
        range(1, len(REASONS) + 1),
    )
    return pd.Series(np.array(["", *REASONS], dtype=object)[reason], index=pairs.index, dtype="str")


def count_shared(pairs: pd.DataFrame, others: pd.DataFrame) -> int:
    """Number of the pairs whose query and title are those of one of the others, by `text_key`."""
    known = set(map(_digest, others["query"], others["title"]))
    return sum(map(known.__contains__, map(_digest, pairs["query"], pairs["title"])))


def _digest(query: str, title: str) -> bytes:
    """16 bytes, the same for the same pair: a large table's keys take a tenth of their texts' space."""
    key = text_key(query)
    return blake2b(f"{len(key)} {key}{text_key(title)}".encode(), digest_size=16).digest()


def rejected_rows(pairs: pd.DataFrame, reasons: pd.Series, label: Callable[[Any], str]) -> pd.DataFrame:
    """The pairs set aside, as `pipeline.tables.prepare.REJECTED`; the index of `pairs` holds their lines.

    `label` gives a grade's text.
    """
    file = [PART_FILE] if PART_FILE in pairs else []
    rejected = pairs[reasons != ""].assign(reason=reasons[reasons != ""].to_numpy())
    rejected["grade"] = [label(grade) for grade in rejected["grade"]]
    return rejected.rename_axis("line").reset_index()[[*file, "line", "reason", "query", "title", "grade"]]


def text_key(text: str) -> str:
    """Key of a text; empty for a blank one.

    It is equal for texts that differ only in case, surrounding white space or the normal form of their letters: an
    accent may be a mark of its own (NFD) or part of its letter (NFC).
    """
    return normalize("NFC", text.strip().casefold())


def dense_ids(keys: Iterable[Hashable]) -> np.ndarray:
    """Number keys from 0, equal keys alike, in the order of first appearance: int64 [key]."""
    ids: dict[Hashable, int] = {}
    return np.fromiter((ids.setdefault(key, len(ids)) for key in keys), dtype=np.int64)


def query_ids(queries: Iterable[str]) -> np.ndarray:
    """Number the queries, int64 [pair], the same for those with the same `text_key`."""
    return dense_ids(map(text_key, queries))
