"""Predictions as sums over queries, from which every measure follows: what a bootstrap by query needs to draw.

The statistics of one intervention and query are counts [gold grade, predicted grade], flattened, then the sums over
pairs of log loss and of gold-logit margin, then the query's ndcg@10 and whether it has one.
"""

import numpy as np
from scipy.special import log_softmax

from pipeline.analysis.inference import of_query
from pipeline.analysis.metrics import expected_grades, ndcg_by_query, quadratic_weighted_kappa

FURTHER = 4  # statistics behind the counts
MEASURES = ("accuracy", "qwk", "mae", "log_loss", "margin", "ndcg_at_10")  # and recall_0, recall_1, ...


def by_query(logits: np.ndarray, grades: np.ndarray, query_ids: np.ndarray) -> np.ndarray:
    """Statistics float64 [intervention, query, statistic], queries by rising id.

    Args:
        logits: float32 [intervention, pair, grade].
        grades: gold, 0 worst, [pair].
        query_ids: [pair].
    """
    interventions, pairs, size = logits.shape
    queries, query = np.unique(query_ids, return_inverse=True)
    sums = np.zeros((interventions, len(queries), size**2 + FURTHER))
    log_shares = log_softmax(logits.astype(np.float64), axis=-1)
    place = np.arange(pairs)
    cell = grades * size + logits.argmax(axis=-1)  # [intervention, pair]
    np.add.at(sums, (np.arange(interventions)[:, None], query, cell), 1)
    in_query = of_query(query_ids)
    sums[..., size**2] = -log_shares[:, place, grades] @ in_query
    sums[..., size**2 + 1] = margins(logits, grades) @ in_query
    ndcg = ndcg_by_query(expected_grades(log_shares), grades, query_ids)
    sums[..., -2], sums[..., -1] = np.nan_to_num(ndcg), np.isfinite(ndcg)
    return sums


def margins(logits: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """The gold grade's logit minus the highest of the others, [intervention, pair]."""
    gold = np.arange(logits.shape[-1]) == grades[:, None]
    return np.where(gold, logits, -np.inf).max(axis=-1) - np.where(gold, -np.inf, logits).max(axis=-1)


def measures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """MEASURES and each grade's recall, [...] each, of statistics summed over queries [..., statistic].

    - accuracy: share of pairs whose highest logit is the gold grade's.
    - qwk: `metrics.quadratic_weighted_kappa`. mae: mean distance of predicted and gold grade, in grades.
    - log_loss: mean negative log-likelihood of the gold grade, in nats.
    - margin: mean gold-logit margin, in logits; see `margins`.
    - ndcg_at_10: mean over the queries that have it. recall_g: share of grade g's pairs predicted as g.

    NaN where undefined.
    """
    size = int(np.sqrt(sums.shape[-1] - FURTHER))
    counts = sums[..., : size**2].reshape(*sums.shape[:-1], size, size)
    log_loss, margin, ndcg, ndcg_queries = np.moveaxis(sums[..., size**2 :], -1, 0)
    pairs, hits = counts.sum(axis=(-2, -1)), np.diagonal(counts, axis1=-2, axis2=-1)
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = hits / counts.sum(axis=-1)
        return {
            "accuracy": hits.sum(axis=-1) / pairs,
            "qwk": quadratic_weighted_kappa(counts),
            "mae": (counts * distance).sum(axis=(-2, -1)) / pairs,
            "log_loss": log_loss / pairs,
            "margin": margin / pairs,
            "ndcg_at_10": ndcg / ndcg_queries,
        } | {f"recall_{grade}": recalls[..., grade] for grade in range(size)}


def changes(sums: np.ndarray, baseline: np.ndarray) -> dict[str, np.ndarray]:
    """The measures' changes from `baseline`: of accuracy relatively, as the article has it, else by difference.

    Both are statistics summed over queries, [..., statistic], of shapes that broadcast.
    """
    after, before = measures(sums), measures(baseline)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(before["accuracy"] > 0, after["accuracy"] / before["accuracy"] - 1, np.nan)
    differences = {f"{name}_change": after[name] - before[name] for name in after if name != "accuracy"}
    return {"relative_accuracy_change": relative, **differences}
