"""Effects of several interventions taken together: averages over random draws, and differences of two groups."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from pipeline.analysis.effects import CHANGE, Judged
from pipeline.analysis.groups import Group
from pipeline.analysis.inference import Bootstrap

# Experiment -> how its random draws are brought together.
AVERAGED: dict[str, Callable[..., np.ndarray]] = {"random_share": np.mean, "random_k": np.median}
DIFFERENCES = {  # name -> (experiment, group) whose effect is taken, and the one that is taken from it
    "lower_minus_upper": (("half", "lower"), ("half", "upper")),
    "lower_except_term_match_minus_lower": (("lower_except", "term_match"), ("half", "lower")),
}


def contrasts(groups: Sequence[Group], point: np.ndarray, again: np.ndarray, judged: Judged) -> pd.DataFrame:
    """Relative accuracy changes brought together, with 95% intervals.

    Args:
        groups: what was masked.
        point: their relative accuracy changes, [group]. again: in every draw of the bootstrap, [group, draw].

    Returns:
        One row each: name ("random_share 0.1", "random_k random", a name of DIFFERENCES), draws, the figure, low, high.
        An average's interval draws the random groups again together with the queries.
    """
    drawn = judged.drawn
    rng = np.random.default_rng([judged.seed, 9])
    rows = []
    for experiment, average in AVERAGED.items():
        for name in dict.fromkeys(group.group for group in groups if group.experiment == experiment):
            own = [i for i, group in enumerate(groups) if (group.experiment, group.group) == (experiment, name)]
            rows.append((f"{experiment} {name}", len(own), *_average(point[own], again[own], average, drawn, rng)))
    place = {(group.experiment, group.group): number for number, group in enumerate(groups)}
    for name, (first, second) in DIFFERENCES.items():
        if first in place and second in place:
            a, b = place[first], place[second]
            low, high = drawn.interval(again[a] - again[b])
            rows.append((name, 1, float(point[a] - point[b]), float(low), float(high)))
    return pd.DataFrame(rows, columns=["name", "draws", CHANGE, "low", "high"])


def _average(
    point: np.ndarray, again: np.ndarray, average: Callable[..., np.ndarray], drawn: Bootstrap, rng: np.random.Generator
) -> tuple[float, float, float]:
    chosen = rng.integers(len(point), size=(len(point), again.shape[1]))
    low, high = drawn.interval(average(np.take_along_axis(again, chosen, axis=0), axis=0))
    return float(average(point)), float(low), float(high)
