"""Measures of rankers, which have one score a pair: by the order of a query's titles, and by differences of scores.

The titles of a query are ranked by score, and the ideal order is that of these very titles: judged titles that are no
candidates do not count. Titles of equal score share their ranks: every measure of an order has its expectation over
the orders of the tied, never that of an order in the file. Scores are tied where they are equal to RESOLUTION.

A comparison is two titles of a query of which one has the higher grade. A ranker's scores are log-odds up to their
scale, which a temperature fitted on dev gives them: softplus(-(better - worse)) is what RankNet minimises (Burges et
al. 2005, Learning to rank using gradient descent), the probability of a title is the softmax over its query's
candidates (Cao et al. 2007, Learning to rank: from pairwise approach to listwise approach).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import comb, log_softmax
from scipy.stats import rankdata

from pipeline.stats.discordance import share_interval
from pipeline.stats.measures import (
    ANY,
    POSITIVE,
    SHARE,
    Comparisons,
    Ends,
    EvaluationSet,
    Measure,
    comparisons_by,
    pair_mean,
    query_mean,
)
from pipeline.stats.metrics import CUTOFF, ndcg_by_query

RESOLUTION = 1e-5  # of the largest score or their standard deviation: float32 scores differ as much with their batch
LEAST_CHANGE = 1e-9  # of nDCG; what is smaller is rounding
BLOCK = 2**22  # differences of scores held at a time


def resolved(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Scores [..., pair] of logits [..., pair, 1] as multiples of the resolution below which they are tied."""
    unmasked = evaluated.unmasked_logits[..., 0].astype(np.float64)
    resolution = RESOLUTION * max(unmasked.std(), np.abs(unmasked).max(initial=0.0), np.finfo(np.float32).tiny)
    return np.rint(logits[..., 0].astype(np.float64) / resolution)


def ranks(logits: np.ndarray, query_ids: np.ndarray) -> np.ndarray:
    """Rank of each title among those of its query, 1 the highest score, equal scores their mean; [..., pair]."""
    ranked = np.empty(logits.shape[:-1])
    for query in np.unique(query_ids):
        titles = query_ids == query
        ranked[..., titles] = rankdata(-logits[..., titles, 0], axis=-1)
    return ranked


def rank_margins(logits: np.ndarray, query_ids: np.ndarray) -> np.ndarray:
    """Distance of each title's score to the nearest other score of its query, [..., pair]; infinite for one title."""
    margins = np.full(logits.shape[:-1], np.inf)
    for query in np.unique(query_ids):
        titles = np.flatnonzero(query_ids == query)
        scores = logits[..., titles, 0].astype(np.float64)
        order = np.argsort(scores, axis=-1)
        gaps = np.diff(np.take_along_axis(scores, order, axis=-1), axis=-1, prepend=-np.inf, append=np.inf)
        nearest = np.minimum(gaps[..., :-1], gaps[..., 1:])
        place = np.argsort(order, axis=-1)
        margins[..., titles] = np.take_along_axis(nearest, place, axis=-1)
    return margins


def _query_means(
    scores: np.ndarray, comparisons: Comparisons, queries: int, value: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Means [mask, query] over comparisons of a value of the differences of scores [mask, pair]; NaN without any."""
    first, second, query = comparisons
    counts = np.bincount(query, minlength=queries)
    means = np.full((len(scores), queries), np.nan)
    compared, starts = np.flatnonzero(counts), np.unique(query, return_index=True)[1]
    size = max(1, BLOCK // max(1, len(query)))
    for start in range(0, len(scores) if len(query) else 0, size):
        block = scores[start : start + size]
        sums = np.add.reduceat(value(block[:, first] - block[:, second]), starts, axis=1)
        means[start : start + size, compared] = sums / counts[compared]
    return means


def _lost(differences: np.ndarray) -> np.ndarray:
    """Share of a comparison that is lost: 1 in the wrong order, a half where tied."""
    return (1 - np.sign(differences)) / 2


def _log_losses(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    scores, queries = logits[..., 0].astype(np.float64), len(evaluated.titles)
    return _query_means(scores, evaluated.comparisons, queries, lambda differences: np.logaddexp(0, -differences))


def _ordered(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return 1 - _query_means(resolved(logits, evaluated), evaluated.comparisons, len(evaluated.titles), _lost)


def _kendall_distances(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    before = resolved(evaluated.unmasked_logits, evaluated)
    comparisons = comparisons_by(before, evaluated.titles)
    return _query_means(resolved(logits, evaluated), comparisons, len(evaluated.titles), _lost)


def score_margins(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Margin of each title [..., pair]: mean over its comparisons of the better title's score minus the worse one's.

    NaN for titles without a comparison.
    """
    scores = logits[..., 0].astype(np.float64)
    first, second, _ = evaluated.comparisons
    margins = np.zeros(scores.shape)
    differences = np.moveaxis(scores[..., first] - scores[..., second], -1, 0)  # [comparison, ...]
    for title in (first, second):
        np.add.at(np.moveaxis(margins, -1, 0), title, differences)
    counts = np.bincount(np.concatenate([first, second]), minlength=scores.shape[-1])
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, margins / np.maximum(counts, 1), np.nan)


def _gains(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return ndcg_by_query(resolved(logits, evaluated), evaluated.gold, evaluated.sample.query_ids)


def _reciprocal_ranks(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Expected reciprocal rank, 0 beyond CUTOFF, of the first title of its query's highest grade, [mask, query]."""
    scores = resolved(logits, evaluated)
    ranks = np.full((len(scores), len(evaluated.titles)), np.nan)
    for query, titles in enumerate(evaluated.titles):
        grades, of_query = evaluated.gold[titles], scores[:, titles]
        best = grades == grades.max()
        if best.all():
            continue
        top = of_query[:, best].max(axis=1, keepdims=True)
        tied = of_query == top
        counts = np.stack([(of_query > top).sum(axis=1), tied.sum(axis=1), (tied & best).sum(axis=1)], axis=1)
        distinct, inverse = np.unique(counts, axis=0, return_inverse=True)
        values = np.array([_expected_reciprocal(*row) for row in distinct.tolist()])
        ranks[:, query] = values[inverse.reshape(-1)]
    return ranks


@cache
def _expected_reciprocal(above: int, tied: int, best: int) -> float:
    """Expected reciprocal rank of the first of the `best` titles among `tied` ones in random order, below `above`."""
    places = np.arange(1, tied - best + 2)  # of the first of them among the tied
    chances = comb(tied - places, best - 1) / comb(tied, best)
    ranks = above + places
    return float((chances / ranks)[ranks <= CUTOFF].sum())


def _top_changes(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Chance that the top title is another than unmasked, [mask, query]; NaN where several are on top unmasked."""
    scores, before = resolved(logits, evaluated), resolved(evaluated.unmasked_logits, evaluated)
    changes = np.full((len(scores), len(evaluated.titles)), np.nan)
    for query, titles in enumerate(evaluated.titles):
        top = np.flatnonzero(before[titles] == before[titles].max())
        if len(titles) > 1 and len(top) == 1:
            on_top = scores[:, titles] == scores[:, titles].max(axis=1, keepdims=True)
            changes[:, query] = 1 - on_top[:, top[0]] / on_top.sum(axis=1)
    return changes


def _divergences(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Kullback-Leibler divergence of the masked softmax over a query's titles from the unmasked one, [mask, query]."""
    divergences = np.full((len(logits), len(evaluated.titles)), np.nan)
    for query, titles in enumerate(evaluated.titles):
        if len(titles) > 1:
            before = log_softmax(evaluated.unmasked_logits[titles, 0].astype(np.float64))
            after = log_softmax(logits[:, titles, 0].astype(np.float64), axis=1)
            divergences[:, query] = (np.exp(before) * (before - after)).sum(axis=1)
    return divergences


def _exact_top_changes(logits: np.ndarray, evaluated: EvaluationSet) -> Ends:
    changes = _top_changes(logits, evaluated)
    return share_interval(np.nansum(changes, axis=1), np.isfinite(changes[:1]).sum())


def gain_changes(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Change of each query's nDCG@10 from the unmasked one, [mask, query]; NaN where it is not defined.

    0 where titles of one grade changed places: sums of the same gains may differ in their last bits.
    """
    gains = _gains(np.concatenate([evaluated.unmasked_logits[None], logits]), evaluated)
    changes = gains[1:] - gains[0]
    return np.where(np.abs(changes) < LEAST_CHANGE, 0, changes)


NDCG_AT_10 = Measure(
    name="ndcg_at_10",
    label="nDCG@10",
    meaning="NDCG of the first ten titles by score, gains 2^grade - 1, mean over queries",
    unit="",
    range=SHARE,
    better="higher",
    needs_grades=True,
    **query_mean(_gains),
    is_relative=True,
)
MRR_AT_10 = Measure(
    name="mrr_at_10",
    label="MRR@10",
    meaning="reciprocal rank, within the first ten, of the first title of its query's highest grade, mean over queries",
    unit="",
    range=SHARE,
    better="higher",
    needs_grades=True,
    **query_mean(_reciprocal_ranks),
)
PAIRWISE_ACCURACY = Measure(
    name="pairwise_accuracy",
    label="pairwise accuracy",
    meaning="share of a query's comparisons whose better title has the higher score, mean over queries",
    unit="",
    range=SHARE,
    better="higher",
    needs_grades=True,
    **query_mean(_ordered),
)
PAIRWISE_LOG_LOSS = Measure(
    name="pairwise_log_loss",
    label="pairwise log loss",
    meaning="negative log-likelihood of the better title of a query's comparisons, mean over queries",
    unit="nats",
    range=POSITIVE,
    better="lower",
    needs_grades=True,
    **query_mean(_log_losses),
)
SCORE_MARGIN = Measure(
    name="score_margin",
    label="score margin",
    meaning="score of the better title minus that of the worse one, mean over a title's comparisons and titles",
    unit="logits",
    range=ANY,
    better="higher",
    needs_grades=True,
    **pair_mean(score_margins),
)
KL_DIVERGENCE = Measure(
    name="kl_divergence",
    label="KL divergence",
    meaning="divergence of the masked softmax over a query's titles from the unmasked one, mean over queries",
    unit="nats",
    range=POSITIVE,
    better="lower",
    needs_grades=False,
    **query_mean(_divergences),
)
KENDALL_DISTANCE = Measure(
    name="kendall_distance",
    label="Kendall distance",
    meaning="(1 - Kendall's tau to the unmasked order) / 2, the share of title pairs reordered, mean over queries",
    unit="",
    range=SHARE,
    better="lower",
    needs_grades=False,
    **query_mean(_kendall_distances),
)
TOP_TITLE_CHANGED = Measure(
    name="top_title_changed",
    label="top title changed",
    meaning="share of queries with another title on top",
    unit="",
    range=SHARE,
    better="lower",
    needs_grades=False,
    **query_mean(_top_changes),
    exact_interval=_exact_top_changes,
)
