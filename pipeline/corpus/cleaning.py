"""Pairs that cannot be learnt from, set aside with a reason; none is dropped without one."""

import numpy as np
import pandas as pd

from pipeline.corpus.identity import dense_ids, text_key

EMPTY_QUERY = "empty query"
EMPTY_TITLE = "empty title"
CONFLICT = "conflicting duplicate"
DUPLICATE = "duplicate"
REASONS = (EMPTY_QUERY, EMPTY_TITLE, CONFLICT, DUPLICATE)


def rejections(pairs: pd.DataFrame) -> pd.Series:
    """Why each pair is set aside, "" where it is not.

    Two pairs are the same when their queries and their titles are, by `identity.text_key`. Of the same pair with
    one grade the first is kept; with several grades none is, since nothing says which of them is right.

    Args:
        pairs: with query, title and grade.

    Returns:
        One of REASONS or "", with the index of `pairs`.
    """
    queries = [text_key(query) for query in pairs["query"]]
    titles = [text_key(title) for title in pairs["title"]]
    same = pd.DataFrame(
        {
            "pair": dense_ids(zip(queries, titles, strict=True)),
            "grade": pairs["grade"].to_numpy(),
        }
    )
    reasons = np.select(
        [
            np.array([not query for query in queries], dtype=bool),
            np.array([not title for title in titles], dtype=bool),
            (same.groupby("pair")["grade"].transform("nunique") > 1).to_numpy(),
            same.duplicated("pair").to_numpy(),
        ],
        REASONS,
        default="",
    )
    return pd.Series(reasons, index=pairs.index, dtype="str")


def rejected_rows(pairs: pd.DataFrame, reasons: pd.Series, grades: list[str]) -> pd.DataFrame:
    """The pairs set aside as a person looks them up: line, reason, query, title, grade (its label)."""
    rejected = pairs[reasons != ""]
    return pd.DataFrame(
        {
            "line": rejected.index.to_numpy(dtype="int64"),
            "reason": reasons[reasons != ""].to_numpy(),
            "query": rejected["query"].to_numpy(),
            "title": rejected["title"].to_numpy(),
            "grade": [grades[place] for place in rejected["grade"]],
        }
    )
