"""Measures of graders, which have one output a grade: by the predicted grade, and by how probable the gold one is."""

import numpy as np
from scipy.special import log_softmax

from pipeline.stats.discordance import net_change_interval, pairs_per_event, share_interval
from pipeline.stats.measures import (
    ANY,
    POSITIVE,
    SHARE,
    Ends,
    EvaluationSet,
    Measure,
    pair_mean,
    query_mean,
)
from pipeline.stats.metrics import (
    expected_grades,
    kappa_moments,
    logit_margins,
    ndcg_by_query,
    quadratic_weighted_kappa,
)


def _right(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return (logits.argmax(axis=-1) == evaluated.gold).astype(np.float64)


def _log_losses(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return -log_softmax(logits.astype(np.float64), axis=-1)[:, np.arange(len(evaluated.gold)), evaluated.gold]


def _margins(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return logit_margins(logits, evaluated.gold)


def _distances(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return np.abs(logits.argmax(axis=-1) - evaluated.gold)


def kl_divergences(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Kullback-Leibler divergence of each pair's masked grades from its unmasked ones, in nats [mask, pair]."""
    before = log_softmax(evaluated.unmasked_logits.astype(np.float64), axis=-1)
    after = log_softmax(logits.astype(np.float64), axis=-1)
    return (np.exp(before) * (before - after)).sum(axis=-1)


def _changed(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    return (logits.argmax(axis=-1) != evaluated.predicted).astype(np.float64)


def _kappa_moments(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """Moments [mask, query, 6] of `quadratic_weighted_kappa`."""
    moments = kappa_moments(evaluated.gold, logits.argmax(axis=-1))
    return np.einsum("mpk,pq->mqk", moments, evaluated.in_query, optimize=True)


def _gains(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
    """NDCG of the queries, [mask, query]."""
    expected = expected_grades(log_softmax(logits.astype(np.float64), axis=-1))
    return ndcg_by_query(expected, evaluated.gold, evaluated.sample.query_ids)


def flips(logits: np.ndarray, evaluated: EvaluationSet) -> tuple[np.ndarray, np.ndarray]:
    """Flips of each mask: pairs right to wrong, and pairs wrong to right, bool [mask, pair] each."""
    right, before = logits.argmax(axis=-1) == evaluated.gold, evaluated.predicted == evaluated.gold
    return before & ~right, ~before & right


def _exact_accuracy(logits: np.ndarray, evaluated: EvaluationSet) -> Ends:
    lost, won = flips(logits, evaluated)
    per_event = pairs_per_event(lost | won, evaluated.in_query)
    unmasked = (evaluated.predicted == evaluated.gold).mean()
    low, high = net_change_interval(
        lost.sum(axis=1) / per_event, won.sum(axis=1) / per_event, lost.shape[1] / per_event
    )
    return (low / unmasked, high / unmasked) if unmasked else (low * np.nan, high * np.nan)


def _exact_changed(logits: np.ndarray, evaluated: EvaluationSet) -> Ends:
    changed = logits.argmax(axis=-1) != evaluated.predicted
    per_event = pairs_per_event(changed, evaluated.in_query)
    return share_interval(changed.sum(axis=1) / per_event, changed.shape[1] / per_event)


ACCURACY = Measure(
    name="accuracy",
    label="accuracy",
    meaning="share of pairs whose predicted grade is the gold one",
    unit="",
    range=SHARE,
    better="higher",
    needs_grades=True,
    **pair_mean(_right),
    is_relative=True,
    exact_interval=_exact_accuracy,
)
LOG_LOSS = Measure(
    name="log_loss",
    label="log loss",
    meaning="mean negative log-likelihood of the gold grade",
    unit="nats",
    range=POSITIVE,
    better="lower",
    needs_grades=True,
    **pair_mean(_log_losses),
)
LOGIT_MARGIN = Measure(
    name="logit_margin",
    label="logit margin",
    meaning="mean of the gold grade's logit minus the highest of the others",
    unit="logits",
    range=ANY,
    better="higher",
    needs_grades=True,
    **pair_mean(_margins),
)
QWK = Measure(
    name="qwk",
    label="qwk",
    meaning="quadratic weighted kappa",
    unit="",
    range=(-1, 1),
    better="higher",
    needs_grades=True,
    per="sample",
    statistics=_kappa_moments,
    value=quadratic_weighted_kappa,
)
KL_DIVERGENCE = Measure(
    name="kl_divergence",
    label="KL divergence",
    meaning="mean Kullback-Leibler divergence of the masked grades from the unmasked ones",
    unit="nats",
    range=POSITIVE,
    better="lower",
    needs_grades=False,
    **pair_mean(kl_divergences),
)
CHANGED_PREDICTIONS = Measure(
    name="changed_predictions",
    label="changed predictions",
    meaning="share of pairs whose predicted grade changes",
    unit="",
    range=SHARE,
    better="lower",
    needs_grades=False,
    **pair_mean(_changed),
    exact_interval=_exact_changed,
)
MAE = Measure(
    name="mae",
    label="mae",
    meaning="mean distance of predicted and gold grade",
    unit="grades",
    range=POSITIVE,
    better="lower",
    needs_grades=True,
    **pair_mean(_distances),
)
NDCG_AT_10 = Measure(
    name="ndcg_at_10",
    label="ndcg@10",
    meaning="NDCG of the first ten titles by expected grade, mean over queries",
    unit="",
    range=SHARE,
    better="higher",
    needs_grades=True,
    **query_mean(_gains),
)


def recall(grade: int) -> Measure:
    """Recall of a grade: share of its pairs that are predicted as it."""

    def values(logits: np.ndarray, evaluated: EvaluationSet) -> np.ndarray:
        return np.where(evaluated.gold == grade, _right(logits, evaluated), np.nan)

    meaning = "share of the grade's pairs that are predicted as it"
    name = f"recall_{grade}"
    return Measure(
        name=name,
        label=f"recall of grade {grade}",
        meaning=meaning,
        unit="",
        range=SHARE,
        better="higher",
        needs_grades=True,
        **pair_mean(values),
    )


def described(grades: int) -> tuple[Measure, ...]:
    """Measures that are described with intervals, and not tested; `grades` is the number of grades."""
    return MAE, NDCG_AT_10, *(recall(grade) for grade in range(grades))
