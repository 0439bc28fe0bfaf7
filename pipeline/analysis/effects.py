"""What masking does to the grades: one row an intervention, each measure beside its change from the unmasked model."""

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from pipeline.analysis.metrics import confusions, quadratic_weighted_kappa

CHANGES = ("qwk", "mae", "log_loss")


def effects(baseline: np.ndarray, logits: np.ndarray, grades: np.ndarray) -> pd.DataFrame:
    """Measures of every intervention.

    Args:
        baseline: unmasked logits [pair, grade].
        logits: masked logits [intervention, pair, grade].
        grades: gold grades [pair], 0 worst.

    Returns:
        One row an intervention: ``accuracy``; ``relative_accuracy_change``, a fraction of the baseline's accuracy, the
        article's measure (NaN where that is 0); ``qwk``, ``mae``, ``log_loss`` each with ``_change`` (masked minus
        baseline; log_loss in nats); ``right_to_wrong`` and ``wrong_to_right``, counts of pairs.
    """
    before, after = measures(baseline[None], grades).iloc[0], measures(logits, grades)
    right, right_before = logits.argmax(-1) == grades, baseline.argmax(-1) == grades
    columns = {"accuracy": after.accuracy}
    relative = after.accuracy / before.accuracy - 1 if before.accuracy > 0 else after.accuracy * np.nan
    columns["relative_accuracy_change"] = relative
    for name in CHANGES:
        columns |= {name: after[name], f"{name}_change": after[name] - before[name]}
    columns["right_to_wrong"] = (right_before & ~right).sum(axis=1)
    columns["wrong_to_right"] = (~right_before & right).sum(axis=1)
    return pd.DataFrame(columns)


def measures(logits: np.ndarray, grades: np.ndarray) -> pd.DataFrame:
    """accuracy, qwk, mae and log_loss of logits [intervention, pair, grade], one row an intervention.

    qwk is NaN where gold and predictions are both one and the same grade.
    """
    predicted = logits.argmax(-1)
    confusion = confusions(predicted, grades, logits.shape[-1])
    gold = np.broadcast_to(grades[None, :, None], (*predicted.shape, 1))
    likelihood = np.take_along_axis(log_softmax(logits.astype(np.float64), axis=-1), gold, axis=-1)
    return pd.DataFrame(
        {
            "accuracy": (predicted == grades).mean(axis=1),
            "qwk": quadratic_weighted_kappa(confusion),
            "mae": np.abs(predicted - grades).mean(axis=1),
            "log_loss": -likelihood.mean(axis=(1, 2)),
        }
    )


def predicted_counts(logits: np.ndarray) -> pd.DataFrame:
    """How often each grade is predicted, ``predicted_0`` onwards, one row an intervention."""
    predicted, count = logits.argmax(-1), logits.shape[-1]
    return pd.DataFrame({f"predicted_{grade}": (predicted == grade).sum(axis=1) for grade in range(count)})
