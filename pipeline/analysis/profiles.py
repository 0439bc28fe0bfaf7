"""Scores of pairs brought together: the profile of every head, and its headline numbers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.analysis.functions import FUNCTIONS

PHASES = ("before", "after")


def profile(scores: Mapping[str, np.ndarray], chances: np.ndarray) -> pd.DataFrame:
    """Every head's mean score over the pairs that define the function, each pair weighing the same.

    Args:
        scores: for each phase [pair, layer, head, function], NaN where undefined.
        chances: [pair, function], NaN at the same places.

    Returns:
        One row a phase, head and function: layer, head, function, phase, score, chance; the last two are NaN where no
        pair defines the function.
    """
    chance = mean_of_defined(chances)
    return pd.concat([_rows(phase, mean_of_defined(one), chance) for phase, one in scores.items()], ignore_index=True)


def _rows(phase: str, score: np.ndarray, chance: np.ndarray) -> pd.DataFrame:
    layer, head, function = (index.ravel() for index in np.indices(score.shape))
    return pd.DataFrame(
        {
            "layer": layer,
            "head": head,
            "function": np.array(FUNCTIONS)[function],
            "phase": phase,
            "score": score.ravel(),
            "chance": chance[function],
        }
    )


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN, float64; NaN where nothing else is left."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return values.sum(axis=0, where=defined, dtype=np.float64) / defined.sum(axis=0)


def headline(profiles: pd.DataFrame, chances: np.ndarray) -> dict[str, float | int | None]:
    """The profiles in a few numbers per function; null where no pair defines it, as its `_pairs` then shows.

    Args:
        profiles: as `profile` returns them, of both PHASES.
        chances: [pair, function].

    Returns:
        `dev_pairs`, and for each function its mean over heads `_before` and `_after`, their difference `_change`, the
        highest head's score after fine-tuning `_strongest`, `_chance`, and the pairs that define it `_pairs`.
    """
    heads = profiles.groupby(["function", "phase"])
    mean, strongest = heads["score"].mean(), heads["score"].max()
    expected, defining = mean_of_defined(chances), (~np.isnan(chances)).sum(axis=0)
    numbers: dict[str, float | int | None] = {"dev_pairs": len(chances)}
    for index, name in enumerate(FUNCTIONS):
        before, after = mean[name, "before"], mean[name, "after"]
        values = {
            "before": before,
            "after": after,
            "change": after - before,
            "strongest": strongest[name, "after"],
            "chance": expected[index],
        }
        numbers |= {f"{name}_{key}": float(value) if defining[index] else None for key, value in values.items()}
        numbers[f"{name}_pairs"] = int(defining[index])
    return numbers


def counts(labelled: pd.DataFrame, moved: pd.DataFrame) -> dict[str, float | int | None]:
    """For each function, how many heads are labelled with it, and how many moved up and down in fine-tuning."""
    heads = labelled.groupby("function")["label"].sum()
    numbers: dict[str, float | int | None] = {f"{name}_labelled": int(heads[name]) for name in FUNCTIONS}
    return numbers | _moved(moved, "")


def drift(moved: pd.DataFrame) -> dict[str, float | int | None]:
    """How many heads moved when the same fine-tuning saw shuffled grades."""
    return _moved(moved, "null_")


def _moved(moved: pd.DataFrame, prefix: str) -> dict[str, float | int | None]:
    numbers = moved.groupby(["function", "moved"]).size()
    return {f"{name}_{prefix}{way}": int(numbers.get((name, way), 0)) for name in FUNCTIONS for way in ("up", "down")}
