"""What a masked head's stand-in changes: zero, its mean, or another pair's output."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.analysis.effects import CHANGE, NOTHING, Judged, effects, significance

ZERO, OTHERS = "zero", ("mean", "resample")


def replaced(logits: Mapping[str, np.ndarray], judged: Judged) -> pd.DataFrame:
    """Every head's effect under each stand-in, on the same pairs.

    Args:
        logits: ZERO and OTHERS -> [intervention, pair, grade].

    Returns:
        One row an intervention: ``<stand-in>_change`` (relative accuracy) and ``<stand-in>_margin_change`` (gold-logit
        margin, in logits), and ``only_zero``: its accuracy changes detectably under zero and under neither other.
    """
    columns: dict[str, pd.Series | np.ndarray] = {}
    found = {}
    for name in (ZERO, *OTHERS):
        measured = effects(logits[name], judged)
        columns |= {f"{name}_change": measured[CHANGE], f"{name}_margin_change": measured["margin_change"]}
        found[name] = (significance(logits[name], judged)["verdict"] != NOTHING).to_numpy()
    columns["only_zero"] = found[ZERO] & ~np.any([found[name] for name in OTHERS], axis=0)
    return pd.DataFrame(columns)


def agreement(heads: pd.DataFrame) -> dict[str, float]:
    """Rank correlation of the heads' margin changes under zero and under each other; NaN where one is constant."""
    ranks = heads[[f"{name}_margin_change" for name in (ZERO, *OTHERS)]].rank()
    return {name: float(ranks[f"{ZERO}_margin_change"].corr(ranks[f"{name}_margin_change"])) for name in OTHERS}
