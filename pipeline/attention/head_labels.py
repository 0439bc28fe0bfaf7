"""What a head does: its scores against their controls, the labels that follow, and what fine-tuning changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.stats.bootstrap import Bootstrap, bootstrap, q_values, sign_flips

ORDER_FUNCTIONS = ("previous_term", "next_term")  # functions for which position and content can be told apart
UP, DOWN, STILL = "up", "down", ""


@dataclass(frozen=True)
class Sample:
    """The pairs scored, and how their queries are drawn again.

    Attributes:
        query_ids: [pair].
        drawn: the bootstrap of the queries, by rising id.
        seed: of the sign flips.
    """

    query_ids: np.ndarray
    drawn: Bootstrap
    seed: int

    @classmethod
    def of(cls, query_ids: np.ndarray, draws: int, seed: int) -> Self:
        return cls(query_ids, bootstrap(len(np.unique(query_ids)), draws, seed), seed)

    def by_query(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums of the defined values and their numbers, [query, ...] of [pair, ...]."""
        queries, query = np.unique(self.query_ids, return_inverse=True)
        sums, counts = np.zeros((2, len(queries), *values.shape[1:]))
        np.add.at(sums, query, np.nan_to_num(values))
        np.add.at(counts, query, np.isfinite(values))
        return sums, counts

    def interval(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the mean over the pairs that define them, of values [pair, ...]."""
        return self.drawn.interval(self.drawn.means(*self.by_query(values)))


def label_heads(
    scores: np.ndarray, controls: np.ndarray, shuffled: np.ndarray, sample: Sample, margin: float
) -> pd.DataFrame:
    """Every head and function: whether the head does it.

    Args:
        scores, controls: [pair, layer, head, function], NaN where undefined.
        shuffled: scores of ORDER on the pairs with their words in random order, [pair, layer, head, 2].
        sample: the pairs.
        margin: what the interval's lower end has to exceed.

    Returns:
        One row a head and function: layer, head, function; score, control, and their difference with its 95% interval
        (low, high), means over the pairs that define both; shuffled, the score on shuffled words (NaN but for ORDER);
        label: low > margin; follows: "position" where the shuffled score still exceeds the control by the margin,
        "content" where it does not, "" without a label or outside ORDER.
    """
    defined = np.isfinite(scores) & np.isfinite(controls)
    difference = np.where(defined, scores - controls, np.nan)
    low, high = sample.interval(difference)
    every = np.full(scores.shape, np.nan)
    places = [FUNCTIONS.index(name) for name in ORDER_FUNCTIONS]
    every[..., places] = shuffled
    frame = head_function_index(scores.shape[1:]).assign(
        score=_mean(np.where(defined, scores, np.nan)),
        control=_mean(np.where(defined, controls, np.nan)),
        difference=_mean(difference),
        low=low.ravel(),
        high=high.ravel(),
        shuffled=_mean(every),
    )
    frame["label"] = frame["low"] > margin
    position = frame["shuffled"] - frame["control"] > margin
    follows = np.where(position, "position", "content")
    frame["follows"] = np.where(frame["label"] & frame["function"].isin(ORDER_FUNCTIONS), follows, "")
    return frame


def first_label(labelled: pd.DataFrame) -> pd.DataFrame:
    """The labelled heads with the first of their labels in the order of FUNCTIONS: layer, head, label."""
    found = labelled[labelled["label"]].drop_duplicates(["layer", "head"])
    return found[["layer", "head", "function"]].rename(columns={"function": "label"})


def attention_shift(before: np.ndarray, after: np.ndarray, sample: Sample) -> pd.DataFrame:
    """T1: what fine-tuning changed, per head and function, paired by pair.

    Returns:
        One row a head and function: layer, head, function, before, after, change with its 95% interval (low, high), p
        (sign flips per query), q (Benjamini-Hochberg over all rows), moved: "up" or "down" where q < 0.05, else "".
    """
    difference = after - before
    low, high = sample.interval(difference)
    sums, _ = sample.by_query(difference)
    p = sign_flips(np.moveaxis(sums, 0, -1).reshape(-1, len(sums)).astype(np.float32), sample.seed)
    frame = head_function_index(before.shape[1:]).assign(
        before=_mean(before),
        after=_mean(after),
        change=_mean(difference),
        low=low.ravel(),
        high=high.ravel(),
        p=np.where(np.isfinite(_mean(difference)), p, np.nan),
    )
    frame["q"] = q_values(frame["p"].to_numpy())
    frame["moved"] = np.where(frame["q"] < 0.05, np.where(frame["change"] > 0, UP, DOWN), STILL)
    return frame


def mean_attention_shift(before: np.ndarray, after: np.ndarray, sample: Sample) -> pd.DataFrame:
    """The change averaged over heads: one row a function, with before, after, change, low, high."""
    difference = (after - before).mean(axis=(1, 2))
    low, high = sample.interval(difference)
    columns = {"before": before.mean(axis=(1, 2)), "after": after.mean(axis=(1, 2)), "change": difference}
    means = {name: _mean(values) for name, values in columns.items()}
    return pd.DataFrame({"function": FUNCTIONS, **means, "low": low, "high": high})


def null_shift(means: pd.DataFrame) -> pd.DataFrame:
    """`mean_attention_shift` under shuffled grades, beside the real one: function, null_change, null_low, null_high."""
    names = {"change": "null_change", "low": "null_low", "high": "null_high"}
    return means[["function", *names]].rename(columns=names)


def head_function_index(shape: tuple[int, ...]) -> pd.DataFrame:
    """Columns layer, head, function of an array [layer, head, function] laid flat."""
    layer, head, function = (axis.ravel() for axis in np.indices(shape))
    return pd.DataFrame({"layer": layer, "head": head, "function": np.array(FUNCTIONS)[function]})


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean of the defined values over pairs, flat; NaN where there is none."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return (np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)).ravel()


PHASES = ("before", "after")


def attention_profiles(scores: Mapping[str, np.ndarray], chances: np.ndarray) -> pd.DataFrame:
    """Every head's mean score over the pairs that define the function, each pair weighing the same.

    Args:
        scores: for each phase [pair, layer, head, function], NaN where undefined.
        chances: [pair, function], NaN at the same places.

    Returns:
        One row a phase, head and function: layer, head, function, phase, score, chance; the last two are NaN where no
        pair defines the function.
    """
    chance = nan_mean(chances)
    return pd.concat([_profile_rows(phase, nan_mean(one), chance) for phase, one in scores.items()], ignore_index=True)


def _profile_rows(phase: str, score: np.ndarray, chance: np.ndarray) -> pd.DataFrame:
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


def nan_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN, float64; NaN where nothing else is left."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return values.sum(axis=0, where=defined, dtype=np.float64) / defined.sum(axis=0)


def profile_metrics(profiles: pd.DataFrame, chances: np.ndarray) -> dict[str, float | int | None]:
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
    expected, defining = nan_mean(chances), (~np.isnan(chances)).sum(axis=0)
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


def label_counts(labelled: pd.DataFrame, moved: pd.DataFrame) -> dict[str, float | int | None]:
    """For each function, how many heads are labelled with it, and how many moved up and down in fine-tuning."""
    heads = labelled.groupby("function")["label"].sum()
    numbers: dict[str, float | int | None] = {f"{name}_labelled": int(heads[name]) for name in FUNCTIONS}
    return numbers | _shift_counts(moved, "")


def null_shift_counts(moved: pd.DataFrame) -> dict[str, float | int | None]:
    """How many heads moved when the same fine-tuning saw shuffled grades."""
    return _shift_counts(moved, "null_")


def _shift_counts(moved: pd.DataFrame, prefix: str) -> dict[str, float | int | None]:
    numbers = moved.groupby(["function", "moved"]).size()
    return {f"{name}_{prefix}{way}": int(numbers.get((name, way), 0)) for name in FUNCTIONS for way in ("up", "down")}
