"""Temperature scaling: one divisor of a model's logits that makes its confidence match how often it is right.

A grader that was trained to the best kappa may be far too sure of itself. Then whatever makes it less sure lowers its
log loss, and a head would be called harmful for the confidence that it adds. Predicted grades do not change. A ranker's
scores mean nothing but their order until they have a temperature: some models score from 0 to 1, others from -25 to 25.

Guo et al. 2017, On calibration of modern neural networks (arXiv 1706.04599).
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from pipeline.stats.measures import EvaluationSet
from pipeline.stats.ranking_measures import PAIRWISE_LOG_LOSS

BOUNDS = (np.log(0.05), np.log(20.0))  # of the logarithm of a temperature


def fit_temperature(logits: np.ndarray, grades: np.ndarray) -> float:
    """Temperature of the lowest log loss of these pairs, within BOUNDS.

    Args:
        logits: [pair, grade]. grades: gold, [pair].
    """
    scores, pairs = logits.astype(np.float64), np.arange(len(grades))

    def log_loss(log_temperature: float) -> float:
        return -float(log_softmax(scores / np.exp(log_temperature), axis=-1)[pairs, grades].mean())

    return _lowest(log_loss)


def fit_score_temperature(evaluated: EvaluationSet) -> float:
    """Temperature of the lowest pairwise log loss of a ranker's unmasked scores, within BOUNDS of their deviation.

    Of scores that are all equal it is 1.
    """
    scores = evaluated.unmasked_logits[None].astype(np.float64)
    deviation = float(scores.std())
    if not deviation:
        return 1.0

    def log_loss(log_temperature: float) -> float:
        statistics = PAIRWISE_LOG_LOSS.statistics(scores / (deviation * np.exp(log_temperature)), evaluated)
        return float(PAIRWISE_LOG_LOSS.value(statistics.sum(axis=1))[0])

    return deviation * _lowest(log_loss)


def _lowest(log_loss: Callable[[float], float]) -> float:
    return float(np.exp(minimize_scalar(log_loss, bounds=BOUNDS, method="bounded", options={"xatol": 1e-6}).x))
