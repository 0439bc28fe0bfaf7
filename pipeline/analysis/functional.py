"""What heads do: the article's findings on heads of a function and on fine-tuning (F1, F2, F3, T1), judged.

A finding is a few parts; how they make a verdict stands in `pipeline.analysis.verdicts`. Thresholds are the constants
below; changes are relative accuracy changes as fractions, scores are shares of attention.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.analysis import readings
from pipeline.analysis.verdicts import MIN_DRAWS, Finding, Part, at_least, conclude, percent, spread

# F1, F2, F3
ABOVE_CHANCE = (0.10, 0.03)  # attention above chance from which a head has a function, up to which it has not
TIMES_CHANCE = 2.0  # and its score is at least so many times chance
COSTS_MORE = 0.02  # F1, F2: extra loss over the median random group
COSTS_MUCH_MORE = 0.10  # F3: the same
MILDER = (0.10, 0.0)  # F3: loss spared by keeping the group from which it is milder, up to which it is not

# T1
MOVED = 0.02  # change of a mean score, relative to before, beyond which attention grew or shrank
MOVES = {  # function -> direction, what is attended to, and how the move is worded
    "term_match": (1, "the same term", "grew", "did not grow"),
    "self": (-1, "itself", "shrank", "did not shrink"),
    "sep": (-1, "[SEP]", "shrank", "did not shrink"),
}


def segmentation(groups: pd.DataFrame, profiles: pd.DataFrame) -> Finding:
    """F1: a low head attends within its own word, well above chance, and masking the top heads beats random ones."""
    return _low_function("F1", "segmentation", ["segmentation"], groups, profiles)


def word_order(groups: pd.DataFrame, profiles: pd.DataFrame) -> Finding:
    """F2: a low head attends to the term before or after, well above chance, and masking the top heads costs more."""
    return _low_function("F2", "word_order", ["previous_term", "next_term"], groups, profiles)


def _low_function(
    name: str, group: str, functions: Sequence[str], groups: pd.DataFrame, profiles: pd.DataFrame
) -> Finding:
    parts = [_exists_low(profiles, functions), _costs_more(groups, group, COSTS_MORE)]
    return conclude(name, _against_random(groups, group), parts)


def _exists_low(profiles: pd.DataFrame, functions: Sequence[str]) -> Part:
    """Whether some head of the lower half scores well above chance after fine-tuning."""
    low = profiles["layer"] < (profiles["layer"].max() + 1) / 2
    after = profiles[low & profiles["function"].isin(functions) & (profiles["phase"] == "after")]
    after = after.dropna(subset=["score", "chance"])
    if after.empty:
        return Part(None, f"{' and '.join(functions)} undefined in the low layers of this data")
    best = after.loc[(after["score"] - after["chance"]).idxmax()]
    score, chance = float(best["score"]), float(best["chance"])
    above = at_least(score - chance, *ABOVE_CHANCE)
    return Part.judged(
        None if above and score < TIMES_CHANCE * chance else above,
        yes="such a head exists in the low layers",
        no="no low head attends so",
        unsure="low heads attend so only somewhat above chance",
        figures=f"layer {best['layer']} head {best['head']}, {best['function']}: {score:.2f}, chance {chance:.2f}",
    )


def _against_random(groups: pd.DataFrame, function: str) -> str:
    change, draws = readings.change(groups, "function", function), readings.random_k(groups)
    return f"top heads masked: {percent(change)}; as many at random: {spread(draws)}"


def _costs_more(groups: pd.DataFrame, function: str, margin: float) -> Part:
    """Whether masking a function's heads costs more than every random group, and `margin` more than their median."""
    change, draws = readings.change(groups, "function", function), readings.random_k(groups)
    if len(draws) < MIN_DRAWS or np.isnan(change):
        return Part(None, f"masking them ({percent(change)}) has {len(draws)} random groups to compare with")
    beyond = change < draws.min() and np.median(draws) - change >= margin
    return Part.judged(
        True if beyond else False if change >= np.median(draws) else None,
        yes="masking them costs more than any random group",
        no="masking them costs no more than most random groups",
        unsure="masking them costs hardly more than random groups",
        figures=f"{percent(change)} against {percent(draws.min())} at worst",
    )


def term_match(groups: pd.DataFrame) -> Finding:
    """F3: the term-match heads cost much more than random ones; keeping them spares much of the lower half's loss."""
    lower, kept = readings.change(groups, "half", "lower"), readings.change(groups, "lower_except", "term_match")
    measured = f"{_against_random(groups, 'term_match')}; lower half {percent(lower)}, except them {percent(kept)}"
    return conclude("F3", measured, [_costs_more(groups, "term_match", COSTS_MUCH_MORE), _spared(groups, lower, kept)])


def _spared(groups: pd.DataFrame, lower: float, kept: float) -> Part:
    """Whether the lower half of the layers costs less where the term-match heads in it stay."""
    if readings.heads_masked(groups, "lower_except", "term_match") == 0:
        return Part(None, "they are the whole lower half, so that nothing is left to mask but them")
    return Part.judged(
        at_least(kept - lower, *MILDER),
        yes="the lower half costs less where they stay",
        no="the lower half costs as much where they stay",
        unsure="the lower half costs hardly less where they stay",
        figures=f"{percent(kept)} against {percent(lower)}",
    )


def fine_tuning(profiles: pd.DataFrame) -> Finding:
    """T1: averaged over heads, term_match grew, self shrank and sep shrank; not moving counts as failing."""
    means = profiles.groupby(["function", "phase"])["score"].mean()
    scores = {name: tuple(means.get((name, phase), np.nan) for phase in ("before", "after")) for name in MOVES}
    measured = "; ".join(f"{name} {before:.3f} -> {after:.3f}" for name, (before, after) in scores.items())
    parts = [_moved(name, *both) for name, both in scores.items()]
    return conclude("T1", f"mean over heads, before -> after: {measured}", parts)


def _moved(function: str, before: float, after: float) -> Part:
    if np.isnan(before) or np.isnan(after):
        return Part(None, f"{function} is undefined in this data")
    sign, target, did, did_not = MOVES[function]
    holds = sign * (after - before) > MOVED * before
    return Part(holds, f"attention to {target} {did if holds else did_not} ({before:.3f} -> {after:.3f})")
