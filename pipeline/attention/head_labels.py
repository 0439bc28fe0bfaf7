"""Labels of heads: scores against their controls, profiles before and after fine-tuning, and the shift between them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.stats.bootstrap import SIGNIFICANCE, QuerySample, q_values, sign_flips
from pipeline.stats.metrics import nan_mean

ORDER_FUNCTIONS = ("previous_term", "next_term")  # functions for which position and content can be told apart
UP, DOWN, STILL = "up", "down", ""


def label_heads(
    scores: np.ndarray, controls: np.ndarray, shuffled: np.ndarray, sample: QuerySample, margin: float
) -> pd.DataFrame:
    """Every head and function: whether the head does it.

    Args:
        scores, controls: [pair, layer, head, function], NaN where undefined.
        shuffled: scores of ORDER_FUNCTIONS on the pairs with their words in random order, [pair, layer, head, 2].
        sample: the pairs.
        margin: what the interval's lower end has to exceed.

    Returns:
        One row a head and function: layer, head, function; score, control, and their difference with its 95% interval
        (low, high), means over the pairs that define both; shuffled, the score on shuffled words (NaN but for
        ORDER_FUNCTIONS);
        label: low > margin; follows: "position" where the shuffled score still exceeds the control by the margin,
        "content" where it does not, "" without a label or outside ORDER_FUNCTIONS.
    """
    defined = np.isfinite(scores) & np.isfinite(controls)
    difference = np.where(defined, scores - controls, np.nan)
    low, high = sample.interval(difference)
    by_function = np.full(scores.shape, np.nan)
    by_function[..., [FUNCTIONS.index(name) for name in ORDER_FUNCTIONS]] = shuffled
    frame = head_function_index(scores.shape[1:]).assign(
        score=nan_mean(np.where(defined, scores, np.nan)).ravel(),
        control=nan_mean(np.where(defined, controls, np.nan)).ravel(),
        difference=nan_mean(difference).ravel(),
        low=low.ravel(),
        high=high.ravel(),
        shuffled=nan_mean(by_function).ravel(),
    )
    frame["label"] = frame["low"] > margin
    position = frame["shuffled"] - frame["control"] > margin
    follows = np.where(position, "position", "content")
    frame["follows"] = np.where(frame["label"] & frame["function"].isin(ORDER_FUNCTIONS), follows, "")
    return frame


def first_label(labelled: pd.DataFrame) -> pd.DataFrame:
    """The labelled heads with the first of their labels in the order of FUNCTIONS: layer, head, label."""
    first = labelled[labelled["label"]].drop_duplicates(["layer", "head"])
    return first[["layer", "head", "function"]].rename(columns={"function": "label"})


def attention_shift(before: np.ndarray, after: np.ndarray, sample: QuerySample) -> pd.DataFrame:
    """T1: what fine-tuning changed, per head and function, paired by pair.

    Returns:
        One row a head and function: layer, head, function, before, after, change with its 95% interval (low, high), p
        (sign flips per query), q (Benjamini-Hochberg over all rows), moved: "up" or "down" where q is below
        SIGNIFICANCE, else "".
    """
    difference = after - before
    low, high = sample.interval(difference)
    sums, _ = sample.by_query(difference)
    p = sign_flips(np.moveaxis(sums, 0, -1).reshape(-1, len(sums)).astype(np.float32), sample.seed)
    frame = head_function_index(before.shape[1:]).assign(
        before=nan_mean(before).ravel(),
        after=nan_mean(after).ravel(),
        change=nan_mean(difference).ravel(),
        low=low.ravel(),
        high=high.ravel(),
        p=np.where(np.isfinite(nan_mean(difference).ravel()), p, np.nan),
    )
    frame["q"] = q_values(frame["p"].to_numpy())
    frame["moved"] = np.where(frame["q"] < SIGNIFICANCE, np.where(frame["change"] > 0, UP, DOWN), STILL)
    return frame


def mean_attention_shift(before: np.ndarray, after: np.ndarray, sample: QuerySample) -> pd.DataFrame:
    """The change averaged over heads: one row a function, with before, after, change, low, high."""
    difference = (after - before).mean(axis=(1, 2))
    low, high = sample.interval(difference)
    columns = {"before": before.mean(axis=(1, 2)), "after": after.mean(axis=(1, 2)), "change": difference}
    means = {name: nan_mean(values) for name, values in columns.items()}
    return pd.DataFrame({"function": FUNCTIONS, **means, "low": low, "high": high})


def null_shift(means: pd.DataFrame) -> pd.DataFrame:
    """`mean_attention_shift` under shuffled grades: function, null_change, null_low, null_high."""
    names = {"change": "null_change", "low": "null_low", "high": "null_high"}
    return means[["function", *names]].rename(columns=names)


def head_function_index(shape: tuple[int, ...]) -> pd.DataFrame:
    """Columns layer, head, function of an array [layer, head, function] laid flat."""
    layer, head, function = (axis.ravel() for axis in np.indices(shape))
    return pd.DataFrame({"layer": layer, "head": head, "function": np.array(FUNCTIONS)[function]})


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
    chance = nan_mean(chances.astype(np.float64))
    frames = []
    for phase, by_pair in scores.items():
        score = nan_mean(by_pair.astype(np.float64))
        columns = {"score": score.ravel(), "chance": np.broadcast_to(chance, score.shape).ravel()}
        frames.append(head_function_index(score.shape).assign(phase=phase, **columns))
    return pd.concat(frames, ignore_index=True)


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
    expected, defining = nan_mean(chances.astype(np.float64)), (~np.isnan(chances)).sum(axis=0)
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


def label_counts(labelled: pd.DataFrame) -> dict[str, float | int | None]:
    """For each function, how many heads are labelled with it."""
    heads = labelled.groupby("function")["label"].sum()
    return {f"{name}_labelled": int(heads[name]) for name in FUNCTIONS}


def shift_counts(shift: pd.DataFrame, prefix: str = "") -> dict[str, float | int | None]:
    """For each function, how many heads `attention_shift` has going up and down, as <function>_<prefix><direction>."""
    numbers = shift.groupby(["function", "moved"]).size()
    return {f"{name}_{prefix}{way}": int(numbers.get((name, way), 0)) for name in FUNCTIONS for way in (UP, DOWN)}
