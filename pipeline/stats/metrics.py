"""Grading and ranking metrics of logits.

What has no value on the data at hand is None with a reason, never NaN and never 0.
"""

import numpy as np
import pandas as pd
from scipy.special import log_softmax
from scipy.stats import rankdata

from pipeline.stats.bootstrap import titles_by_query

CUTOFF = 10
# Expected grades closer than this are ties: float32 logits differ by as much with the batch a pair was in.
RANKED_DECIMALS = 5
UNDEFINED = {
    "qwk": "every gold grade and every predicted grade is the same one",
    "spearman": "no query has titles that differ both in gold and in expected grade",
    "ndcg_at_10": "no query of two or more titles has one above the lowest grade",
}
NamedMetrics = tuple[dict[str, float | None], dict[str, str]]


def grade_metrics(logits: np.ndarray, grades: np.ndarray, query_ids: np.ndarray) -> NamedMetrics:
    """Grading and ranking metrics of predictions.

    - accuracy: share of pairs whose highest logit is the gold grade's (the lower grade where two are highest).
    - qwk: Cohen's kappa of gold and predicted grade, disagreements weighted by their squared distance.
    - mae: mean distance of predicted and gold grade, in grades.
    - macro_f1: F1 of each grade, averaged over the grades that occur among the gold or the predicted ones.
    - log_loss: mean negative log-likelihood of the gold grade, in nats.
    - spearman, ndcg_at_10: of the expected grade (the mean grade under the softmax), see `spearman`, `ndcg`.

    Args:
        logits: finite, [pair, grade]. grades: gold, 0..K-1, [pair]. query_ids: [pair].

    Returns:
        The values by name, and for each value that is None the reason.

    Raises:
        ValueError: there are no pairs, or a logit is not finite.
    """
    if len(grades) == 0 or not np.isfinite(logits).all():
        raise ValueError(f"metrics need pairs and finite logits; got logits of shape {logits.shape}")
    log_shares = log_softmax(logits.astype(np.float64), axis=1)
    expected = expected_grades(log_shares)
    predicted = logits.argmax(axis=1)
    grade_count = logits.shape[1]
    counts = np.bincount(grades * grade_count + predicted, minlength=grade_count**2).reshape(grade_count, grade_count)
    values = {
        "accuracy": float((predicted == grades).mean()),
        "qwk": none_if_nan(float(quadratic_weighted_kappa(kappa_moments(grades, predicted).sum(axis=0)))),
        "mae": float(np.abs(predicted - grades).mean()),
        "macro_f1": macro_f1(counts),
        "log_loss": float(-log_shares[np.arange(len(grades)), grades].mean()),
        "spearman": spearman(expected, grades, query_ids),
        "ndcg_at_10": ndcg(expected, grades, query_ids),
    }
    return values, {name: UNDEFINED[name] for name, value in values.items() if value is None}


def expected_grades(log_shares: np.ndarray) -> np.ndarray:
    """Expected grades under log-probabilities [..., grade], rounded to the resolution of float32 logits."""
    return (np.exp(log_shares) @ np.arange(log_shares.shape[-1])).round(RANKED_DECIMALS)


def kappa_moments(grades: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Moments whose sums over pairs give `quadratic_weighted_kappa`: 1, g, g^2, p, p^2, gp, float64 [..., pair, 6].

    Args:
        grades: gold, [pair]. predicted: [..., pair].
    """
    gold, predicted = np.broadcast_arrays(grades.astype(np.float64), predicted.astype(np.float64))
    return np.stack([np.ones_like(gold), gold, gold**2, predicted, predicted**2, gold * predicted], axis=-1)


def quadratic_weighted_kappa(moments: np.ndarray) -> np.ndarray:
    """Quadratic weighted kappa [...] of summed `kappa_moments` [..., 6]: 1 - observed / chance disagreement.

    NaN where both are 0. Cohen 1968, Weighted kappa, Psychological Bulletin 70(4); squared weights need no more than
    the moments: Fleiss and Cohen 1973, Educational and Psychological Measurement 33(3).
    """
    pairs, gold, gold_squares, predicted, predicted_squares, products = np.moveaxis(moments, -1, 0)
    observed = pairs * (gold_squares + predicted_squares - 2 * products)
    by_chance = pairs * (gold_squares + predicted_squares) - 2 * gold * predicted
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(by_chance > 0, 1 - observed / by_chance, np.nan)


def macro_f1(counts: np.ndarray) -> float:
    """Macro F1: mean of 2 hits / (gold + predicted) over the grades with any gold or predicted pair."""
    total = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * counts.diagonal()[total > 0] / total[total > 0]).mean())


def spearman(scores: np.ndarray, grades: np.ndarray, query_ids: np.ndarray) -> float | None:
    """Spearman's rank correlation of score and gold grade within a query, averaged over queries.

    Queries in which either is constant, those of one title among them, have no correlation and are left out.
    None where no query is left.
    """
    table = pd.DataFrame({"query": query_ids, "score": scores, "grade": grades})
    ranks = table.groupby("query")[["score", "grade"]].rank()
    centred = ranks - ranks.groupby(table["query"]).transform("mean")
    products = pd.DataFrame(
        {"joint": centred["score"] * centred["grade"], "score": centred["score"] ** 2, "grade": centred["grade"] ** 2}
    )
    sums = products.groupby(table["query"]).sum()
    sums = sums[(sums["score"] > 0) & (sums["grade"] > 0)]
    if sums.empty:
        return None
    return float((sums["joint"] / np.sqrt(sums["score"] * sums["grade"])).mean())


def ndcg(scores: np.ndarray, grades: np.ndarray, query_ids: np.ndarray) -> float | None:
    """NDCG: `ndcg_by_query` averaged over the queries that define it. None where none does."""
    gains = ndcg_by_query(scores, grades, query_ids)
    return float(np.nanmean(gains)) if np.isfinite(gains).any() else None


def ndcg_by_query(scores: np.ndarray, grades: np.ndarray, query_ids: np.ndarray) -> np.ndarray:
    """Normalised discounted cumulative gain of the first ten titles by score, [..., query] of scores [..., pair].

    The gain of a title is 2^grade - 1, the discount log2(1 + rank); titles of equal score share their discounts, which
    is the mean over their orders. NaN for queries of one title or without any gain. Queries by rising id.

    Burges et al. 2005, Learning to rank using gradient descent; for ties McSherry and Najork 2008.
    """
    queries = titles_by_query(query_ids)
    normalised = np.full((*scores.shape[:-1], len(queries)), np.nan)
    for query, titles in enumerate(queries):
        gains = 2.0 ** grades[titles] - 1
        if len(titles) > 1 and gains.any():
            normalised[..., query] = _cumulative_gain(scores[..., titles], gains) / _cumulative_gain(gains, gains)
    return normalised


def _cumulative_gain(scores: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Discounted gains of scores [..., title], summed."""
    discounts = np.append(0.0, np.cumsum(1 / np.log2(2 + np.arange(CUTOFF))))
    above = len(gains) - rankdata(scores, "max", axis=-1).astype(int)
    down_to = len(gains) - rankdata(scores, "min", axis=-1).astype(int) + 1
    spread = discounts[np.minimum(down_to, CUTOFF)] - discounts[np.minimum(above, CUTOFF)]
    return (gains * spread / (down_to - above)).sum(axis=-1)


def nan_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of the finite values, summed in their own precision; NaN where there are none."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)


def none_if_nan(value: float) -> float | None:
    """None for NaN, which JSON and MLflow do not accept."""
    return None if np.isnan(value) else float(value)


def logit_margins(logits: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """Logit margins, the gold grade's logit minus the highest of the others, [..., pair] of [..., pair, grade]."""
    gold = np.arange(logits.shape[-1]) == grades[:, None]
    return np.where(gold, logits, -np.inf).max(axis=-1) - np.where(gold, -np.inf, logits).max(axis=-1)


def top_two_margins(logits: np.ndarray) -> np.ndarray:
    """Margin between the two largest logits, [..., pair] of [..., pair, grade]."""
    ranked = np.partition(logits, -2, axis=-1)
    return ranked[..., -1] - ranked[..., -2]
