"""Outcomes of runs made up for tests."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.analysis.effects import CHANGE, NEEDED, NOTHING
from pipeline.runs.outcome import Outcome


def heads_frame(effects, needed: Sequence[tuple[int, int]] = ()) -> pd.DataFrame:
    """Effects [layer, head] as heads.csv holds them."""
    effects = np.asarray(effects, dtype=float)
    rows = [
        (layer, head, effect, NEEDED if (layer, head) in needed else NOTHING)
        for (layer, head), effect in np.ndenumerate(effects)
    ]
    return pd.DataFrame(rows, columns=["layer", "head", CHANGE, "verdict"])


def outcome(
    name: str,
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    heads: pd.DataFrame | None = None,
    labels: Sequence[tuple[int, int, str]] = (),
    verdicts: Mapping[str, str] | None = None,
) -> Outcome:
    """A run of two layers of two heads, unless others are given."""
    frame = pd.DataFrame(labels, columns=["layer", "head", "function"])
    frame = frame.astype({"layer": int, "head": int, "function": str})
    heads = heads_frame(np.zeros((2, 2))) if heads is None else heads
    return Outcome(name, params or {}, metrics or {}, heads, frame, verdicts or {})
