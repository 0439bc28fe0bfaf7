"""Attention shift: what fine-tuning changed in every head, on average, and in the term-match heads (T1).

The article shows one term-match head whose attention to the same term grew while that to itself and to [SEP] shrank,
and reads [SEP] as the place for "nothing to attend to". Which place that is differs between checkpoints, so it is
found: the **attention sink** is the special token that text tokens attend to most before fine-tuning.

In the term-match heads all places are measured at the same queries, the tokens of a term that both texts hold: there a
share of the same row grows or shrinks, and what other tokens attend to says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.attention.head_labels import head_function_index, mean_columns
from pipeline.core.heads import Head
from pipeline.stats.bootstrap import SIGNIFICANCE, QuerySample, q_values, sign_flips
from pipeline.stats.metrics import nan_mean

UP, DOWN, STILL = "up", "down", ""
SPECIAL = ("cls", "sep")  # functions whose target may be the attention sink
SHIFTED = ("term_match", "self", *SPECIAL)  # what is measured in a term-match head


class Shifts(NamedTuple):
    """Changes of one fine-tuning, as frames of the tables ATTENTION_SHIFT, ATTENTION_SHIFT_MEAN, TERM_MATCH_SHIFT."""

    heads: pd.DataFrame
    mean: pd.DataFrame
    term_match: pd.DataFrame

    def with_null(self, null: Self) -> Self:
        """The changes next to those of a fine-tuning on shuffled grades."""
        return self._replace(
            mean=_with_null(self.mean, null.mean), term_match=_with_null(self.term_match, null.term_match)
        )


def _with_null(shift: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    return shift.join(null[["change", "change_low", "change_high"]].add_prefix("null_"))


@dataclass(frozen=True)
class AttentionShift:
    """Measurement of what a fine-tuning changes, paired by pair.

    Attributes:
        before: scores before fine-tuning, [pair, layer, head, function].
        matched_before: `AttentionScorer.matched_scores` before fine-tuning, [pair, layer, head, function of SHIFTED].
        sample: the pairs.
        term_match_heads: the surest first, chosen on the labelling half.
        labelling_half: bool [pair]; it names the attention sink too. The other half judges the term-match heads.
    """

    before: np.ndarray
    matched_before: np.ndarray
    sample: QuerySample
    term_match_heads: Sequence[Head]
    labelling_half: np.ndarray

    def measure(self, after: np.ndarray, matched_after: np.ndarray) -> Shifts:
        """Shifts from the scores after fine-tuning, shapes as before it."""
        half = self.labelling_half
        judged = self.matched_before[~half], matched_after[~half], self.sample.subset(~half)
        return Shifts(
            attention_shift(self.before, after, self.sample),
            mean_attention_shift(self.before, after, self.sample),
            term_match_shift(self.term_match_heads, attention_sink(self.before[half]), *judged),
        )


def attention_shift(before: np.ndarray, after: np.ndarray, sample: QuerySample) -> pd.DataFrame:
    """Change of every head's scores [pair, layer, head, function]."""
    frame = head_function_index(before.shape[1:]).assign(**_paired_change(before, after, sample))
    frame["direction"] = np.where(frame["q"] < SIGNIFICANCE, np.where(frame["change"] > 0, UP, DOWN), STILL)
    return frame


def mean_attention_shift(before: np.ndarray, after: np.ndarray, sample: QuerySample) -> pd.DataFrame:
    """Change of the scores [pair, layer, head, function] averaged over heads."""
    before, after = before.mean(axis=(1, 2)), after.mean(axis=(1, 2))
    change = mean_columns("change", after - before, sample)
    return pd.DataFrame({"function": FUNCTIONS, "before": nan_mean(before), "after": nan_mean(after), **change})


def attention_sink(before: np.ndarray) -> str:
    """The attention sink: the function of SPECIAL with the highest score [pair, layer, head, function] over heads."""
    means = nan_mean(before.mean(axis=(1, 2)))
    return max(SPECIAL, key=lambda name: float(means[FUNCTIONS.index(name)]))


def term_match_shift(
    heads: Sequence[Head], sink: str, before: np.ndarray, after: np.ndarray, sample: QuerySample
) -> pd.DataFrame:
    """Change of the term-match heads' scores [pair, layer, head, function of SHIFTED], a row each head and function."""
    places = [(*head, function) for head in heads for function in range(len(SHIFTED))]
    layer, head, function = np.array(places, dtype=int).reshape(-1, 3).T
    names = np.array(SHIFTED)[function].astype(object)
    rank = np.repeat(np.arange(len(heads)) + 1, len(SHIFTED))
    frame = pd.DataFrame({"layer": layer, "head": head, "rank": rank, "function": names, "is_sink": names == sink})
    return frame.assign(**_paired_change(before[:, layer, head, function], after[:, layer, head, function], sample))


def _paired_change(before: np.ndarray, after: np.ndarray, sample: QuerySample) -> dict[str, np.ndarray]:
    """Columns before, after, change with its interval, p and q of scores [pair, ...], laid flat."""
    difference = after - before
    sums, _ = sample.by_query(difference)
    flipped = sign_flips(sums.reshape(len(sums), prod(sums.shape[1:])).T.astype(np.float32), sample.seed)
    change = mean_columns("change", difference, sample)
    p = np.where(np.isfinite(change["change"]), flipped, np.nan)
    return {"before": nan_mean(before).ravel(), "after": nan_mean(after).ravel(), **change, "p": p, "q": q_values(p)}


def shift_counts(shift: pd.DataFrame, prefix: str = "") -> dict[str, float | int | None]:
    """For each function, how many heads `attention_shift` has going up and down, as <function>_<prefix><direction>."""
    numbers = shift.groupby(["function", "direction"]).size()
    return {f"{name}_{prefix}{way}": int(numbers.get((name, way), 0)) for name in FUNCTIONS for way in (UP, DOWN)}
