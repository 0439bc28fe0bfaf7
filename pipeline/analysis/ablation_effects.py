"""Effects of masks on the grading: changes from the unmasked model with intervals, tests and verdicts, a row a mask."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.stats.bootstrap import (
    SIGNIFICANCE,
    Bootstrap,
    QuerySample,
    detectable,
    mcnemar,
    q_values,
    query_indicator,
    sign_flips,
)
from pipeline.stats.metrics import RELATIVE_ACCURACY_CHANGE, changes, measures, none_if_nan, sufficient_statistics

NEEDED, HARMFUL, NOTHING = "needed", "harmful", "no detectable effect"
FEWEST = 6  # queries that must all change one way before any sign test at 0.05 can find it: 2 / 2^6 < 0.05
CHANGE = RELATIVE_ACCURACY_CHANGE
Ends = tuple[np.ndarray, np.ndarray]  # of an interval


@dataclass(frozen=True)
class EvaluationSet:
    """Graded pairs on which predictions under masks are compared with the unmasked model's.

    Attributes:
        grades: gold, 0 worst, [pair].
        unmasked_logits: [pair, grade].
        sample: the pairs' queries.
    """

    grades: np.ndarray
    unmasked_logits: np.ndarray
    sample: QuerySample

    def subset(self, pairs: np.ndarray) -> "EvaluationSet":
        """Some of the pairs, [pair] numbers or bool."""
        return EvaluationSet(self.grades[pairs], self.unmasked_logits[pairs], self.sample.subset(pairs))

    def sums(self, logits: np.ndarray) -> np.ndarray:
        """`sufficient_statistics` of logits [mask, pair, grade]."""
        return sufficient_statistics(logits, self.grades, self.sample.query_ids)

    def flips(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs that each mask makes wrong, and those that it makes right, bool [mask, pair] each."""
        right, before = logits.argmax(-1) == self.grades, self.unmasked_logits.argmax(-1) == self.grades
        return before & ~right, ~before & right


def measure_effects(logits: np.ndarray, evaluated: EvaluationSet) -> pd.DataFrame:
    """Measures under every mask, from logits [mask, pair, grade].

    Returns:
        One row a mask: ``accuracy``; ``relative_accuracy_change``, a fraction of the unmasked model's accuracy, the
        article's measure (NaN where that is 0); the other `measures` with their ``_change`` (masked minus unmasked);
        every change with ``_low`` and ``_high``, its 95% interval; ``right_to_wrong`` and ``wrong_to_right``, pairs.
    """
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
        columns |= {name: change[name], f"{name}_low": np.array(lows), f"{name}_high": np.array(highs)}
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
    """Whether each mask's effect on accuracy is more than chance, corrected over all of them.

    Returns:
        One row a mask: ``p`` (sign flips per query), ``mcnemar_p``, ``q`` (Benjamini-Hochberg over the rows),
        ``verdict`` and the ``metric`` it is about, ``detectable``: the smallest relative change this sample would find.
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
            "metric": "accuracy",
            "detectable": smallest,
        }
    )


def predicted_counts(logits: np.ndarray) -> pd.DataFrame:
    """How often each grade is predicted, ``predicted_0`` onwards, one row a mask."""
    predicted, count = logits.argmax(-1), logits.shape[-1]
    return pd.DataFrame({f"predicted_{grade}": (predicted == grade).sum(axis=1) for grade in range(count)})


ZERO, OTHERS = "zero", ("mean", "resample")


def compare_ablation_types(logits: Mapping[str, np.ndarray], evaluated: EvaluationSet) -> pd.DataFrame:
    """Every mask's effect under each ablation type, on the same pairs.

    Args:
        logits: ZERO and OTHERS -> [mask, pair, grade].

    Returns:
        One row a mask: ``<type>_change`` (relative accuracy) and ``<type>_margin_change`` (gold-logit margin, in
        logits), and ``only_zero``: its accuracy changes detectably under zero and under neither other.
    """
    columns: dict[str, pd.Series | np.ndarray] = {}
    significant = {}
    for name in (ZERO, *OTHERS):
        effects = measure_effects(logits[name], evaluated)
        columns |= {f"{name}_change": effects[CHANGE], f"{name}_margin_change": effects["margin_change"]}
        significant[name] = (effect_significance(logits[name], evaluated)["verdict"] != NOTHING).to_numpy()
    columns["only_zero"] = significant[ZERO] & ~np.any([significant[name] for name in OTHERS], axis=0)
    return pd.DataFrame(columns)


def ablation_type_agreement(heads: pd.DataFrame) -> dict[str, float]:
    """Rank correlation of the heads' margin changes under zero and under each other; NaN where one is constant."""
    ranks = heads[[f"{name}_margin_change" for name in (ZERO, *OTHERS)]].rank()
    return {name: float(ranks[f"{ZERO}_margin_change"].corr(ranks[f"{name}_margin_change"])) for name in OTHERS}


Metrics = dict[str, float | int | None]


def head_metrics(heads: pd.DataFrame, evaluated: EvaluationSet) -> Metrics:
    """From heads.csv's frame and the pairs it was measured on."""
    change = heads[CHANGE]
    unmasked = measures(evaluated.sums(evaluated.unmasked_logits[None])[0].sum(axis=0))
    numbers: dict[str, float] = {
        "baseline_accuracy": float(unmasked["accuracy"]),
        "baseline_qwk": float(unmasked["qwk"]),
        "largest_loss": change.min(),
        "largest_gain": change.max(),
        "median_change": change.median(),
        "within_1_percent": float((change.abs() < 0.01).mean()),
        "importance_rank_correlation": float(heads.gradient_importance.rank().corr((-heads.margin_change).rank())),
        **{f"rank_agreement_zero_{name}": value for name, value in ablation_type_agreement(heads).items()},
    }
    counts = {
        "pairs": len(evaluated.grades),
        "queries": evaluated.sample.queries,
        "needed": int((heads.verdict == NEEDED).sum()),
        "harmful": int((heads.verdict == HARMFUL).sum()),
        "only_zero": int(heads.only_zero.sum()),
    }
    metrics: Metrics = counts | {name: none_if_nan(value) for name, value in numbers.items()}
    return {f"heads_{name}": value for name, value in metrics.items()}


def group_metrics(groups: pd.DataFrame) -> Metrics:
    """Relative accuracy change of the named groups, and the mean over the random ones."""
    change = groups.groupby(["experiment", "group"], sort=False)[CHANGE].mean()
    names = {"groups_lower_half": ("half", "lower"), "groups_upper_half": ("half", "upper")}
    names["groups_random_k"] = ("random_k", "random")
    for experiment, prefix in (("function", "groups_"), ("lower_except", "groups_lower_except_")):
        names |= {f"{prefix}{key[1]}": key for key in change.index if key[0] == experiment}
    return {name: none_if_nan(change.get(key, np.nan)) for name, key in names.items()}
