"""Ablation effects: changes of the metrics from the unmasked model, with intervals, tests and verdicts, per mask."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.stats.bootstrap import (
    SIGNIFICANCE,
    Bootstrap,
    QuerySample,
    detectable,
    estimate_columns,
    mcnemar,
    q_values,
    query_indicator,
    sign_flips,
)
from pipeline.stats.metrics import RELATIVE_ACCURACY_CHANGE, changes, measures, none_if_nan, sufficient_statistics

NEEDED, HARMFUL, NOTHING = "needed", "harmful", "no detectable effect"
FEWEST = 6  # queries that must all change in the same direction for a sign test at 0.05: 2 / 2^6 < 0.05
CHANGE = RELATIVE_ACCURACY_CHANGE
Ends = tuple[np.ndarray, np.ndarray]  # of an interval


@dataclass(frozen=True)
class EvaluationSet:
    """Evaluation set: graded pairs on which predictions under masks are compared with the unmasked model's.

    Attributes:
        grades: gold, 0 worst, [pair].
        unmasked_logits: [pair, grade].
        sample: the pairs' queries.
    """

    grades: np.ndarray
    unmasked_logits: np.ndarray
    sample: QuerySample

    def subset(self, pairs: np.ndarray) -> "EvaluationSet":
        """Subset of the pairs, by index or bool [pair]."""
        return EvaluationSet(self.grades[pairs], self.unmasked_logits[pairs], self.sample.subset(pairs))

    def sums(self, logits: np.ndarray) -> np.ndarray:
        """`sufficient_statistics` of logits [mask, pair, grade]."""
        return sufficient_statistics(logits, self.grades, self.sample.query_ids)

    def flips(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flips of each mask: pairs right to wrong, and pairs wrong to right, bool [mask, pair] each."""
        right, before = logits.argmax(-1) == self.grades, self.unmasked_logits.argmax(-1) == self.grades
        return before & ~right, ~before & right


def measure_effects(logits: np.ndarray, evaluated: EvaluationSet) -> pd.DataFrame:
    """The columns of `pipeline.tables.measures.MEASURES`, a row a mask, from logits [mask, pair, grade]."""
    return effects_and_resamples(logits, evaluated)[0]


def effects_and_resamples(logits: np.ndarray, evaluated: EvaluationSet) -> tuple[pd.DataFrame, np.ndarray]:
    """`measure_effects`, and the relative accuracy change in every resample of the bootstrap, [mask, resample]."""
    sums = evaluated.sums(np.concatenate([evaluated.unmasked_logits[None], logits]))
    values, change = measures(sums[1:].sum(axis=1)), changes(sums[1:].sum(axis=1), sums[0].sum(axis=0))
    intervals, resamples = _intervals_and_resamples(sums, evaluated.sample.bootstrap)
    columns = {"accuracy": values.pop("accuracy")}
    for name in change:
        measure = name.removesuffix("_change")
        columns |= {measure: values[measure]} if measure in values else {}
        lows, highs = zip(*(interval[name] for interval in intervals), strict=True)
        columns |= estimate_columns(name, change[name], np.array(lows), np.array(highs))
    lost, won = (flips.sum(axis=1) for flips in evaluated.flips(logits))
    return pd.DataFrame(columns | {"right_to_wrong": lost, "wrong_to_right": won}), resamples


def _intervals_and_resamples(sums: np.ndarray, queries: Bootstrap) -> tuple[list[dict[str, Ends]], np.ndarray]:
    """Each mask's intervals by name, and its CHANGE in every resample, of sums whose first is the unmasked model's."""
    unmasked, intervals, resamples = queries.sums(sums[0]), [], []
    for masked in sums[1:]:
        resampled = changes(queries.sums(masked), unmasked)
        intervals.append({name: queries.interval(values) for name, values in resampled.items()})
        resamples.append(resampled[CHANGE])
    return intervals, np.array(resamples)


def effect_significance(logits: np.ndarray, evaluated: EvaluationSet) -> pd.DataFrame:
    """Significance of each mask's effect on accuracy, corrected for multiple tests.

    `p` to `min_detectable_change` of `pipeline.tables.head_ablation.HEADS`, a row a mask.
    """
    sample = evaluated.sample
    lost, won = evaluated.flips(logits)
    in_query, right = query_indicator(sample.query_ids), evaluated.unmasked_logits.argmax(-1) == evaluated.grades
    differences = (won.astype(float) - lost) @ in_query  # [mask, query]
    p = sign_flips(differences.astype(np.float32), sample.seed)
    q = q_values(p)
    resamples = sample.bootstrap.means(differences.T, in_query.sum(axis=0)[:, None])
    direction = np.where(differences.sum(axis=1) < 0, NEEDED, HARMFUL)
    with np.errstate(invalid="ignore", divide="ignore"):
        smallest = np.maximum(detectable(resamples), FEWEST / len(right)) / right.mean()
    return pd.DataFrame(
        {
            "p": p,
            "mcnemar_p": mcnemar(lost.sum(axis=1), won.sum(axis=1)),
            "q": q,
            "verdict": np.where(q < SIGNIFICANCE, direction, NOTHING),
            "min_detectable_change": smallest,
        }
    )


def predicted_counts(logits: np.ndarray) -> pd.DataFrame:
    """Counts of the predicted grades, ``predicted_0`` onwards, a row per mask."""
    predicted, count = logits.argmax(-1), logits.shape[-1]
    return pd.DataFrame({f"predicted_{grade}": (predicted == grade).sum(axis=1) for grade in range(count)})


ZERO, OTHERS = "zero", ("mean", "resample")


def compare_ablation_types(logits: Mapping[str, np.ndarray], evaluated: EvaluationSet) -> pd.DataFrame:
    """Effects of every mask under each ablation type, on the same pairs.

    Args:
        logits: ZERO and OTHERS -> [mask, pair, grade].

    Returns:
        `zero_change` to `zero_ablation_only` of `pipeline.tables.head_ablation.HEADS`, a row a mask.
    """
    columns: dict[str, pd.Series | np.ndarray] = {}
    significant = {}
    for name in (ZERO, *OTHERS):
        effects = measure_effects(logits[name], evaluated)
        columns |= {f"{name}_change": effects[CHANGE], f"{name}_logit_margin_change": effects["logit_margin_change"]}
        significant[name] = (effect_significance(logits[name], evaluated)["verdict"] != NOTHING).to_numpy()
    columns["zero_ablation_only"] = significant[ZERO] & ~np.any([significant[name] for name in OTHERS], axis=0)
    return pd.DataFrame(columns)


def ablation_type_agreement(heads: pd.DataFrame) -> dict[str, float]:
    """Rank correlation of the heads' margin changes under zero and under each other; NaN where one is constant."""
    ranks = {name: heads[f"{name}_logit_margin_change"].rank() for name in (ZERO, *OTHERS)}
    return {name: float(ranks[ZERO].corr(ranks[name])) for name in OTHERS}


Metrics = dict[str, float | int | None]


def head_metrics(heads: pd.DataFrame, evaluated: EvaluationSet) -> Metrics:
    """From heads.csv's frame and the pairs it was measured on."""
    change, importance = heads[CHANGE], heads.gradient_importance.rank()
    unmasked = measures(evaluated.sums(evaluated.unmasked_logits[None])[0].sum(axis=0))
    numbers: dict[str, float] = {
        "unmasked_accuracy": float(unmasked["accuracy"]),
        "unmasked_qwk": float(unmasked["qwk"]),
        "largest_loss": change.min(),
        "largest_gain": change.max(),
        "median_change": change.median(),
        "within_1_percent": float((change.abs() < 0.01).mean()),
        "importance_rank_correlation": float(importance.corr((-heads.logit_margin_change).rank())),
        **{f"rank_agreement_zero_{name}": value for name, value in ablation_type_agreement(heads).items()},
    }
    counts: Metrics = {
        "pairs": len(evaluated.grades),
        "queries": evaluated.sample.queries,
        "needed": int((heads.verdict == NEEDED).sum()),
        "harmful": int((heads.verdict == HARMFUL).sum()),
        "zero_ablation_only": int(heads.zero_ablation_only.sum()),
    }
    return counts | {name: none_if_nan(value) for name, value in numbers.items()}


def group_metrics(groups: pd.DataFrame) -> Metrics:
    """Relative accuracy change of the named groups, and the mean over the random ones."""
    change = groups.groupby(["group_type", "group"], sort=False)[CHANGE].mean()
    names = {"lower_half": ("half", "lower"), "upper_half": ("half", "upper")}
    names["random_k"] = ("random_k", "random")
    for group_type, prefix in (("function", ""), ("lower_except", "lower_except_")):
        names |= {f"{prefix}{key[1]}": key for key in change.index if key[0] == group_type}
    return {name: none_if_nan(change.get(key, np.nan)) for name, key in names.items()}
