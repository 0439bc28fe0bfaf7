"""The model against what is not BERT, on test: the article's finding R0."""

import numpy as np
import pandas as pd

from pipeline.findings.verdict import Estimate, Finding, Part, conclude, not_judged
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.metrics import ndcg_by_query

NO_TRAINING = "there are no training pairs, and so no BiLSTM to compare with"
NDCG, BM25 = "nDCG@10", "BM25"


def graders_compared(bert: pd.DataFrame, bilstm: pd.DataFrame, resamples: int, seed: int) -> Finding:
    """R0 of graders: BERT grades more test pairs right than the BiLSTM.

    Args:
        bert, bilstm: predictions on the same pairs in the same order: query_id, grade, predicted; no rows of a BiLSTM
            that was not trained.
        resamples: of the cluster bootstrap by query.
    """
    bert_right = (bert["predicted"] == bert["grade"]).to_numpy()
    if bilstm.empty:
        return not_judged("R0", f"test accuracy: BERT {bert_right.mean():.3f}", NO_TRAINING)
    bilstm_right = (bilstm["predicted"] == bilstm["grade"]).to_numpy()
    difference = bert_right.astype(float) - bilstm_right
    estimate = _mean(difference, bert["query_id"].to_numpy(), resamples, seed)
    part = Part.of(
        estimate.above(0.0),
        yes="BERT grades more pairs right",
        no="BERT grades fewer pairs right",
        unsure="neither is shown to grade more pairs right",
        figures=f"{bert_right.mean():.3f} against {bilstm_right.mean():.3f}, one training run each; "
        f"difference in points {estimate.text()}",
    )
    return conclude("R0", f"test accuracy: BERT {bert_right.mean():.3f}, BiLSTM {bilstm_right.mean():.3f}", [part])


def rankers_compared(model: pd.DataFrame, bilstm: pd.DataFrame, resamples: int, seed: int) -> Finding:
    """R0 of rankers: the model's nDCG@10 on test is higher than that of the BiLSTM, and of BM25.

    Args:
        model, bilstm: scores of the same pairs in the same order: query_id, grade, score, the model's with bm25; no
            rows of a BiLSTM that was not trained.
        resamples: of the cluster bootstrap by query.
    """
    scores = {"the BiLSTM": bilstm["score"], BM25: model["bm25"]}
    gains = {name: _gains(model, column) for name, column in scores.items() if len(column)}
    own, queries = _gains(model, model["score"]), np.unique(model["query_id"])
    parts = [_ranks_better(name, own, other, queries, resamples, seed) for name, other in gains.items()]
    values = ", ".join(f"{name} {np.nanmean(other):.3f}" for name, other in gains.items())
    measured = f"test {NDCG}: the model {np.nanmean(own):.3f}, {values}"
    if bilstm.empty:
        return not_judged("R0", measured, f"{NO_TRAINING}; {parts[0].text}")
    return conclude("R0", measured, parts)


def _gains(pairs: pd.DataFrame, scores: pd.Series) -> np.ndarray:
    """NDCG [query] of scores of the pairs."""
    return ndcg_by_query(scores.to_numpy(dtype=float), pairs["grade"].to_numpy(), pairs["query_id"].to_numpy())


def _ranks_better(
    name: str, own: np.ndarray, other: np.ndarray, queries: np.ndarray, resamples: int, seed: int
) -> Part:
    """Whether the model's NDCG [query] is surely above that of another."""
    estimate = _mean(own - other, queries, resamples, seed)
    return Part.of(
        estimate.above(0.0),
        yes=f"the model ranks better than {name}",
        no=f"the model ranks worse than {name}",
        unsure=f"the model is not shown to rank better than {name}, nor worse",
        figures=f"difference of {NDCG} {estimate.value:+.3f}, {estimate.low:+.3f} to {estimate.high:+.3f}",
    )


def _mean(values: np.ndarray, queries: np.ndarray, resamples: int, seed: int) -> Estimate:
    """Mean of values [pair], or [query], with its interval."""
    low, high = QuerySample(queries, resamples, seed).interval(values)
    return Estimate(float(np.nanmean(values)), float(low), float(high))
