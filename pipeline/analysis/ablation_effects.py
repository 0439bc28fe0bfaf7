"""What masking does to the grades: one row an intervention, each change from the unmasked model with its interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from pipeline.stats.bootstrap import Bootstrap, bootstrap, detectable, mcnemar, q_values, query_indicator, sign_flips
from pipeline.stats.metrics import changes, measures, none_if_nan, sufficient_statistics

NEEDED, HARMFUL, NOTHING = "needed", "harmful", "no detectable effect"
SIGNIFICANT = 0.05  # q-value below which an effect is one
FEWEST = 6  # queries that must all change one way before any sign test at 0.05 can find it: 2 / 2^6 < 0.05
CHANGE = "relative_accuracy_change"
Ends = tuple[np.ndarray, np.ndarray]  # of an interval


@dataclass(frozen=True)
class Judged:
    """The pairs on which interventions are judged, and how queries are drawn again from them.

    Attributes:
        grades: gold, 0 worst, [pair].
        query_ids: [pair].
        baseline: unmasked logits [pair, grade].
        draws: of the bootstrap.
        seed: of the bootstrap and of the sign flips.
    """

    grades: np.ndarray
    query_ids: np.ndarray
    baseline: np.ndarray
    draws: int
    seed: int

    @property
    def queries(self) -> int:
        return len(np.unique(self.query_ids))

    @cached_property
    def drawn(self) -> Bootstrap:
        return bootstrap(self.queries, self.draws, self.seed)

    def of(self, pairs: np.ndarray) -> "Judged":
        """The same on some of the pairs, [pair] numbers or bool."""
        return Judged(self.grades[pairs], self.query_ids[pairs], self.baseline[pairs], self.draws, self.seed)


def measure_effects(logits: np.ndarray, judged: Judged) -> pd.DataFrame:
    """Measures of every intervention, from masked logits [intervention, pair, grade].

    Returns:
        One row an intervention: ``accuracy``; ``relative_accuracy_change``, a fraction of the baseline's accuracy, the
        article's measure (NaN where that is 0); the measures of `sums` with their ``_change`` (masked minus baseline);
        every change with ``_low`` and ``_high``, its 95% interval; ``right_to_wrong`` and ``wrong_to_right``, pairs.
    """
    return effects_and_resamples(logits, judged)[0]


def effects_and_resamples(logits: np.ndarray, judged: Judged) -> tuple[pd.DataFrame, np.ndarray]:
    """`effects`, and the relative accuracy change in every draw of the bootstrap, [intervention, draw]."""
    sums = sufficient_statistics(np.concatenate([judged.baseline[None], logits]), judged.grades, judged.query_ids)
    values, moved = measures(sums[1:].sum(axis=1)), changes(sums[1:].sum(axis=1), sums[0].sum(axis=0))
    intervals, drawn = _drawn(sums, judged.drawn)
    columns = {"accuracy": values.pop("accuracy")}
    for name in moved:
        of = name.removesuffix("_change")
        columns |= {of: values[of]} if of in values else {}
        lows, highs = zip(*(one[name] for one in intervals), strict=True)
        columns |= {name: moved[name], f"{name}_low": np.array(lows), f"{name}_high": np.array(highs)}
    lost, won = (flips.sum(axis=1) for flips in _flips(logits, judged))
    return pd.DataFrame(columns | {"right_to_wrong": lost, "wrong_to_right": won}), drawn


def _drawn(sums: np.ndarray, queries: Bootstrap) -> tuple[list[dict[str, Ends]], np.ndarray]:
    """Each intervention's intervals by name, and its CHANGE in every draw, of sums whose first is the baseline's."""
    base, intervals, drawn = queries.sums(sums[0]), [], []
    for one in sums[1:]:
        again = changes(queries.sums(one), base)
        intervals.append({name: queries.interval(values) for name, values in again.items()})
        drawn.append(again[CHANGE])
    return intervals, np.array(drawn)


def _flips(logits: np.ndarray, judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that each intervention makes wrong, and those that it makes right, bool [intervention, pair] each."""
    right, before = logits.argmax(-1) == judged.grades, judged.baseline.argmax(-1) == judged.grades
    return before & ~right, ~before & right


def effect_significance(logits: np.ndarray, judged: Judged) -> pd.DataFrame:
    """Whether each intervention's effect on accuracy is more than chance, corrected over all of them.

    Returns:
        One row an intervention: ``p`` (sign flips per query), ``mcnemar_p``, ``q`` (Benjamini-Hochberg over the rows),
        ``verdict`` and the ``metric`` it is about, ``detectable``: the smallest relative change this sample would find.
    """
    lost, won = _flips(logits, judged)
    in_query, right = query_indicator(judged.query_ids), judged.baseline.argmax(-1) == judged.grades
    differences = (won.astype(float) - lost) @ in_query  # [intervention, query]
    p = sign_flips(differences.astype(np.float32), judged.seed)
    q = q_values(p)
    drawn = judged.drawn.means(differences.T, in_query.sum(axis=0)[:, None])
    direction = np.where(differences.sum(axis=1) < 0, NEEDED, HARMFUL)
    with np.errstate(invalid="ignore", divide="ignore"):
        smallest = np.maximum(detectable(drawn), FEWEST / len(right)) / right.mean()
    return pd.DataFrame(
        {
            "p": p,
            "mcnemar_p": mcnemar(lost.sum(axis=1), won.sum(axis=1)),
            "q": q,
            "verdict": np.where(q < SIGNIFICANT, direction, NOTHING),
            "metric": "accuracy",
            "detectable": smallest,
        }
    )


def predicted_counts(logits: np.ndarray) -> pd.DataFrame:
    """How often each grade is predicted, ``predicted_0`` onwards, one row an intervention."""
    predicted, count = logits.argmax(-1), logits.shape[-1]
    return pd.DataFrame({f"predicted_{grade}": (predicted == grade).sum(axis=1) for grade in range(count)})


ZERO, OTHERS = "zero", ("mean", "resample")


def compare_ablation_types(logits: Mapping[str, np.ndarray], judged: Judged) -> pd.DataFrame:
    """Every head's effect under each stand-in, on the same pairs.

    Args:
        logits: ZERO and OTHERS -> [intervention, pair, grade].

    Returns:
        One row an intervention: ``<stand-in>_change`` (relative accuracy) and ``<stand-in>_margin_change`` (gold-logit
        margin, in logits), and ``only_zero``: its accuracy changes detectably under zero and under neither other.
    """
    columns: dict[str, pd.Series | np.ndarray] = {}
    found = {}
    for name in (ZERO, *OTHERS):
        measured = measure_effects(logits[name], judged)
        columns |= {f"{name}_change": measured[CHANGE], f"{name}_margin_change": measured["margin_change"]}
        found[name] = (effect_significance(logits[name], judged)["verdict"] != NOTHING).to_numpy()
    columns["only_zero"] = found[ZERO] & ~np.any([found[name] for name in OTHERS], axis=0)
    return pd.DataFrame(columns)


def ablation_type_agreement(heads: pd.DataFrame) -> dict[str, float]:
    """Rank correlation of the heads' margin changes under zero and under each other; NaN where one is constant."""
    ranks = heads[[f"{name}_margin_change" for name in (ZERO, *OTHERS)]].rank()
    return {name: float(ranks[f"{ZERO}_margin_change"].corr(ranks[f"{name}_margin_change"])) for name in OTHERS}


Metrics = dict[str, float | int | None]


def head_metrics(heads: pd.DataFrame, judged: Judged) -> Metrics:
    """From heads.csv's frame and the pairs it was judged on."""
    change = heads[CHANGE]
    unmasked = measures(sufficient_statistics(judged.baseline[None], judged.grades, judged.query_ids)[0].sum(axis=0))
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
        "pairs": len(judged.grades),
        "queries": judged.queries,
        "needed": int((heads.verdict == NEEDED).sum()),
        "harmful": int((heads.verdict == HARMFUL).sum()),
        "only_zero": int(heads.only_zero.sum()),
    }
    every: Metrics = counts | {name: none_if_nan(value) for name, value in numbers.items()}
    return {f"heads_{name}": value for name, value in every.items()}


def group_metrics(groups: pd.DataFrame) -> Metrics:
    """Relative accuracy change of the named groups, and the mean over draws of the random ones."""
    change = groups.groupby(["experiment", "group"], sort=False)[CHANGE].mean()
    names = {
        "groups_lower_half": ("half", "lower"),
        "groups_upper_half": ("half", "upper"),
        "groups_random_k": ("random_k", "random"),
    }
    names |= {f"groups_{group}": ("function", group) for experiment, group in change.index if experiment == "function"}
    names |= {
        f"groups_lower_except_{group}": ("lower_except", group)
        for experiment, group in change.index
        if experiment == "lower_except"
    }
    return {name: none_if_nan(change.get(key, np.nan)) for name, key in names.items()}
