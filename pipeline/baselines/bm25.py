"""BM25, the ranking by words in common that a reranker has to beat: scores of each query's titles.

Its words are those of `word_alignment.terms`, so that it reads Chinese too. The score of a title is the sum over the
query's words w of ln(1 + (N - n_w + 0.5) / (n_w + 0.5)) * f / (f + k1 * (1 - b + b * l / mean l)), with f how often the
title of l words holds w, k1 = 1.5 and b = 0.75. N and n_w count distinct titles of all splits: a search engine knows
its titles, and no grade is read.

Robertson and Zaragoza 2009, The probabilistic relevance framework: BM25 and beyond; the library is bm25s (Lù 2024).
"""

import os

# Where JAX is installed bm25s computes with it on import, and on a GPU JAX takes three quarters of the memory.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import bm25s
import numpy as np
import pandas as pd

from pipeline.models.word_alignment import terms
from pipeline.stats.ranking_measures import NDCG_AT_10
from pipeline.stats.split_metrics import evaluation_set, value_of


def bm25_scores(splits: dict[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    """BM25 of each pair's title for its query, float64 [pair] of every split (columns query and title)."""
    titles = pd.unique(pd.concat([split["title"] for split in splits.values()]))
    index = bm25s.BM25(dtype="float64")
    index.index([terms(title) for title in titles], show_progress=False)
    number = {title: position for position, title in enumerate(titles)}
    return {name: _scores(index, split, number) for name, split in splits.items()}


def bm25_ndcg(splits: dict[str, pd.DataFrame], scores: dict[str, np.ndarray]) -> dict[str, float | None]:
    """`<split>_bm25_ndcg_at_10` of splits (columns query_id, grade) and their scores [pair]; None where undefined."""
    return {
        f"{name}_bm25_ndcg_at_10": value_of(NDCG_AT_10, evaluation_set(split, scores[name][:, None]))
        for name, split in splits.items()
    }


def _scores(index: bm25s.BM25, split: pd.DataFrame, number: dict[str, int]) -> np.ndarray:
    scores = np.zeros(len(split))
    for query, pairs in split.reset_index(drop=True).groupby("query", sort=False).indices.items():
        words = [word for word in terms(str(query)) if word in index.vocab_dict]
        if words:
            scores[pairs] = index.get_scores(words)[split["title"].iloc[pairs].map(number)]
    return scores
