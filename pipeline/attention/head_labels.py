"""Labels of heads: scores against their controls, profiles before and after fine-tuning, and the shift between them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.stats.bootstrap import SIGNIFICANCE, QuerySample, estimate_columns, q_values, sign_flips
from pipeline.stats.metrics import nan_mean

ORDER_FUNCTIONS = ("previous_term", "next_term")  # functions for which position and content can be separated
UP, DOWN, STILL = "up", "down", ""


def label_heads(
    scores: np.ndarray, controls: np.ndarray, shuffled: np.ndarray, sample: QuerySample, margin: float
) -> pd.DataFrame:
    """Label heads by function: score above control, with an interval.

    Args:
        scores, controls: [pair, layer, head, function], NaN where undefined.
        shuffled: scores of ORDER_FUNCTIONS on the pairs with their words in random order, [pair, layer, head, 2].
        sample: the pairs.
        margin: what the interval's lower end has to exceed.

    Returns:
        The frame of `pipeline.tables.attention.LABELS`; means are over the pairs that define score and control. The
        cue is the position where the shuffled score still exceeds the control by the margin.
    """
    defined = np.isfinite(scores) & np.isfinite(controls)
    difference = np.where(defined, scores - controls, np.nan)
    by_function = np.full(scores.shape, np.nan)
    by_function[..., [FUNCTIONS.index(name) for name in ORDER_FUNCTIONS]] = shuffled
    frame = head_function_index(scores.shape[1:]).assign(
        score=nan_mean(np.where(defined, scores, np.nan)).ravel(),
        control=nan_mean(np.where(defined, controls, np.nan)).ravel(),
        **estimate_columns("difference", nan_mean(difference), *sample.interval(difference)),
        shuffled=nan_mean(by_function).ravel(),
    )
    frame["is_labelled"] = frame["difference_low"] > margin
    position = frame["shuffled"] - frame["control"] > margin
    follows = np.where(position, "position", "content")
    frame["order_cue"] = np.where(frame["is_labelled"] & frame["function"].isin(ORDER_FUNCTIONS), follows, "")
    return frame


def first_label(labelled: pd.DataFrame) -> pd.DataFrame:
    """The labelled heads with the first of their labels in the order of FUNCTIONS: layer, head, function."""
    return labelled[labelled["is_labelled"]].drop_duplicates(["layer", "head"])[["layer", "head", "function"]]


def attention_shift(before: np.ndarray, after: np.ndarray, sample: QuerySample) -> pd.DataFrame:
    """T1: what fine-tuning changed, paired by pair: the frame of `pipeline.tables.attention.ATTENTION_SHIFT`."""
    difference = after - before
    sums, _ = sample.by_query(difference)
    p = sign_flips(np.moveaxis(sums, 0, -1).reshape(-1, len(sums)).astype(np.float32), sample.seed)
    frame = head_function_index(before.shape[1:]).assign(
        before=nan_mean(before).ravel(),
        after=nan_mean(after).ravel(),
        **estimate_columns("change", nan_mean(difference), *sample.interval(difference)),
    )
    frame["p"] = np.where(frame["change"].notna(), p, np.nan)
    frame["q"] = q_values(frame["p"].to_numpy())
    frame["direction"] = np.where(frame["q"] < SIGNIFICANCE, np.where(frame["change"] > 0, UP, DOWN), STILL)
    return frame


def mean_attention_shift(before: np.ndarray, after: np.ndarray, sample: QuerySample) -> pd.DataFrame:
    """The change averaged over heads: the frame of `pipeline.tables.attention.ATTENTION_SHIFT_MEAN` without a null."""
    difference = (after - before).mean(axis=(1, 2))
    means = {"before": nan_mean(before.mean(axis=(1, 2))), "after": nan_mean(after.mean(axis=(1, 2)))}
    change = estimate_columns("change", nan_mean(difference), *sample.interval(difference))
    return pd.DataFrame({"function": FUNCTIONS, **means, **change})


def null_shift(means: pd.DataFrame) -> pd.DataFrame:
    """`mean_attention_shift` under shuffled grades, as the null_ columns of ATTENTION_SHIFT_MEAN."""
    changes = means[["change", "change_low", "change_high"]].add_prefix("null_")
    return changes.assign(function=means["function"])


def head_function_index(shape: tuple[int, ...]) -> pd.DataFrame:
    """Columns layer, head, function of an array [layer, head, function] laid flat."""
    layer, head, function = (axis.ravel() for axis in np.indices(shape))
    return pd.DataFrame({"layer": layer, "head": head, "function": np.array(FUNCTIONS)[function]})


PHASES = ("before", "after")


def attention_profiles(scores: Mapping[str, np.ndarray], chances: np.ndarray) -> pd.DataFrame:
    """Attention profiles: mean score over the pairs that define the function, with equal weights.

    Args:
        scores: for each phase [pair, layer, head, function], NaN where undefined.
        chances: [pair, function], NaN at the same places.

    Returns:
        The frame of `pipeline.tables.attention.PROFILES`.
    """
    chance = nan_mean(chances.astype(np.float64))
    frames = []
    for phase, by_pair in scores.items():
        score = nan_mean(by_pair.astype(np.float64))
        columns = {"score": score.ravel(), "chance": np.broadcast_to(chance, score.shape).ravel()}
        frames.append(head_function_index(score.shape).assign(phase=phase, **columns))
    return pd.concat(frames, ignore_index=True)


def profile_metrics(profiles: pd.DataFrame, chances: np.ndarray) -> dict[str, float | int | None]:
    """Metrics of the profiles per function; null where no pair defines it, as its `_pairs` shows.

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
        values = before, after, after - before, strongest[name, "after"], expected[index]
        named = dict(zip(("before", "after", "change", "strongest", "chance"), values, strict=True))
        numbers |= {f"{name}_{key}": float(value) if defining[index] else None for key, value in named.items()}
        numbers[f"{name}_pairs"] = int(defining[index])
    return numbers


def label_counts(labelled: pd.DataFrame) -> dict[str, float | int | None]:
    """For each function, how many heads are labelled with it."""
    heads = labelled.groupby("function")["is_labelled"].sum()
    return {f"{name}_labelled": int(heads[name]) for name in FUNCTIONS}


def shift_counts(shift: pd.DataFrame, prefix: str = "") -> dict[str, float | int | None]:
    """For each function, how many heads `attention_shift` has going up and down, as <function>_<prefix><direction>."""
    numbers = shift.groupby(["function", "direction"]).size()
    return {f"{name}_{prefix}{way}": int(numbers.get((name, way), 0)) for name in FUNCTIONS for way in (UP, DOWN)}
