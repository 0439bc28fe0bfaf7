"""Labels of heads, by scores against their controls and by what the heads write; profiles of their scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.core.heads import Head
from pipeline.stats.bootstrap import QuerySample, estimate_columns
from pipeline.stats.metrics import nan_mean

ORDER_FUNCTIONS = ("previous_term", "next_term")  # functions for which position and content can be separated
IDLE = 0.1  # relative write: a head that writes less than so much of an average head's output does nothing


@dataclass(frozen=True)
class Evidence:
    """What heads are labelled by, NaN where undefined.

    Attributes:
        scores, controls: [pair, layer, head, function].
        shuffled: scores of ORDER_FUNCTIONS on the pairs with their words in random order, [pair, layer, head, 2].
        writes: relative writes (`scoring.relative_writes`), [pair, layer, head, function].
    """

    scores: np.ndarray
    controls: np.ndarray
    shuffled: np.ndarray
    writes: np.ndarray

    def subset(self, pairs: np.ndarray) -> Self:
        """Evidence of some of the pairs, by index or bool [pair]."""
        return type(self)(self.scores[pairs], self.controls[pairs], self.shuffled[pairs], self.writes[pairs])


def label_heads(evidence: Evidence, sample: QuerySample, margin: float) -> pd.DataFrame:
    """Label heads by function: score above control, with an interval, in heads that are not idle.

    A head whose attention fits a function may still write nothing. It is labelled where it surely writes more than IDLE
    of what an average head of its layer does. Heads are ranked by their written difference, score minus control times
    the relative write, of which no more than 1 counts: to write little takes from a head's rank, but to write much adds
    nothing, since the sizes of outputs differ between heads that attend alike.

    Args:
        evidence, sample: of the same pairs.
        margin: what the lower end of the difference's interval has to exceed.

    Returns:
        The frame of `pipeline.tables.attention.LABELS`; means are over the pairs that define score and control. The
        cue is the position where the shuffled score still exceeds the control by the margin.
    """
    scores, controls = evidence.scores, evidence.controls
    defined = np.isfinite(scores) & np.isfinite(controls)
    by_function = np.full(scores.shape, np.nan)
    by_function[..., [FUNCTIONS.index(name) for name in ORDER_FUNCTIONS]] = evidence.shuffled
    frame = head_function_index(scores.shape[1:]).assign(
        score=nan_mean(np.where(defined, scores, np.nan)).ravel(),
        control=nan_mean(np.where(defined, controls, np.nan)).ravel(),
        **mean_columns("difference", scores - controls, sample),
        **mean_columns("relative_write", np.where(defined, evidence.writes, np.nan), sample),
        **mean_columns("written_difference", (scores - controls) * np.minimum(evidence.writes, 1), sample),
        shuffled=nan_mean(by_function).ravel(),
    )
    frame["is_labelled"] = (frame["difference_low"] > margin) & (frame["relative_write_low"] > IDLE)
    position = frame["shuffled"] - frame["control"] > margin
    follows = np.where(position, "position", "content")
    frame["order_cue"] = np.where(frame["is_labelled"] & frame["function"].isin(ORDER_FUNCTIONS), follows, "")
    return frame


def labelled_heads(labels: pd.DataFrame, function: str) -> list[Head]:
    """The heads labelled with the function, the surest first, by the lower bound of the written difference."""
    labelled = labels[labels["is_labelled"] & (labels["function"] == function)]
    ranked = labelled.sort_values("written_difference_low", ascending=False, kind="stable")
    return [Head.of_row(row) for _, row in ranked.iterrows()]


def mean_columns(name: str, values: np.ndarray, sample: QuerySample) -> dict[str, np.ndarray]:
    """The columns of the mean of values [pair, ...] over the pairs that define it, and of its interval, laid flat."""
    return estimate_columns(name, nan_mean(values), *sample.interval(values))


def first_label(labelled: pd.DataFrame) -> pd.DataFrame:
    """The labelled heads with the first of their labels in the order of FUNCTIONS: layer, head, function."""
    return labelled[labelled["is_labelled"]].drop_duplicates(["layer", "head"])[["layer", "head", "function"]]


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
        profiles: as `attention_profiles` returns them, of both PHASES or of the second.
        chances: [pair, function].

    Returns:
        `dev_pairs`, and for each function its mean over heads `_before` and `_after`, their difference `_change`, the
        highest head's score after fine-tuning `_strongest`, `_chance`, and the pairs that define it `_pairs`. Without
        profiles before fine-tuning `_before` and `_change` are left out.
    """
    heads = profiles.groupby(["function", "phase"])
    mean, strongest = heads["score"].mean(), heads["score"].max()
    expected, defining = nan_mean(chances.astype(np.float64)), (~np.isnan(chances)).sum(axis=0)
    numbers: dict[str, float | int | None] = {"dev_pairs": len(chances)}
    for index, name in enumerate(FUNCTIONS):
        named = {phase: mean[name, phase] for phase in PHASES if (name, phase) in mean}
        if "before" in named:
            named["change"] = named["after"] - named["before"]
        named |= {"strongest": strongest[name, "after"], "chance": expected[index]}
        numbers |= {f"{name}_{key}": float(value) if defining[index] else None for key, value in named.items()}
        numbers[f"{name}_pairs"] = int(defining[index])
    return numbers


def label_counts(labelled: pd.DataFrame) -> dict[str, float | int | None]:
    """For each function, how many heads are labelled with it."""
    heads = labelled.groupby("function")["is_labelled"].sum()
    return {f"{name}_labelled": int(heads[name]) for name in FUNCTIONS}
