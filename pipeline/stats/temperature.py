"""Temperature scaling: one divisor of a grader's logits that makes its confidence match how often it is right.

A grader that was trained to the best kappa may be far too sure of itself. Then whatever makes it less sure lowers its
log loss, and a head would be called harmful for the confidence that it adds. Predicted grades do not change.

Guo et al. 2017, On calibration of modern neural networks (arXiv 1706.04599).
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BOUNDS = (np.log(0.05), np.log(20.0))  # of the logarithm of a temperature


def fit_temperature(logits: np.ndarray, grades: np.ndarray) -> float:
    """Temperature of the lowest log loss of these pairs, within BOUNDS.

    Args:
        logits: [pair, grade]. grades: gold, [pair].
    """
    scores, pairs = logits.astype(np.float64), np.arange(len(grades))

    def log_loss(log_temperature: float) -> float:
        return -float(log_softmax(scores / np.exp(log_temperature), axis=-1)[pairs, grades].mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=BOUNDS, method="bounded", options={"xatol": 1e-6}).x))
