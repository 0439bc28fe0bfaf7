"""Ablation effects: the changes of every measure under every mask, with intervals, tests and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.stats.bootstrap import LEVEL, SIGNIFICANCE, equivalent, estimate_columns, q_values
from pipeline.stats.measure_sets import MeasureSet
from pipeline.stats.measures import Changes, EvaluationSet, Measure, measure_changes
from pipeline.stats.metrics import none_if_nan
from pipeline.stats.paired_tests import change_p_values, detectable

VERDICTS = NEEDED, HARMFUL, SMALL, NO_EFFECT, UNDECIDED = "needed", "harmful", "small", "no effect", "undecided"
CHANCE_DRAWS = 5_000  # of the largest gain by chance
ENOUGH_QUERIES = 50  # to claim that an effect is small: of rare effects fewer may hold none
ENOUGH_CHANGED = 20  # queries that change as much as matters, to claim an effect by query: of fewer intervals miss


@dataclass(frozen=True)
class Effects:
    """Effects of masks.

    Attributes:
        frame: the columns of `pipeline.tables.measures.EFFECTS` that the measures have, a row a mask.
        changes: of each tested measure, by its name.
    """

    frame: pd.DataFrame
    changes: Mapping[str, Changes]


def measure_effects(
    logits: np.ndarray,
    evaluated: EvaluationSet,
    margin: float,
    measures: MeasureSet,
    tested: np.ndarray | None = None,
) -> Effects:
    """Effects of masks on every measure, without grades on those that need none.

    Args:
        logits: [mask, pair, output].
        evaluated: the pairs.
        margin: share of the way to the constant model from which a change matters.
        measures: of the kind of model.
        tested: masks that are tested, bool [mask]; the others have no p-value. None: all.
    """
    if evaluated.grades is None:
        return effects_by_measure(logits, evaluated, margin, measures.label_free, tested)
    effects = effects_by_measure(logits, evaluated, margin, measures.tested, tested)
    columns: dict[str, np.ndarray] = {}
    for measure in measures.described(logits.shape[-1]):
        columns |= _change_columns(measure_changes(measure, logits, evaluated))
    columns |= measures.tallies(logits, evaluated)
    return Effects(effects.frame.join(pd.DataFrame(columns)), effects.changes)


def effects_by_measure(
    logits: np.ndarray,
    evaluated: EvaluationSet,
    margin: float,
    measures: Sequence[Measure],
    tested: np.ndarray | None,
) -> Effects:
    """`measure_effects` on some measures that have a scale and a test, and nothing else."""
    tested = np.ones(len(logits), dtype=bool) if tested is None else tested
    columns: dict[str, np.ndarray] = {}
    by_name = {}
    for measure in measures:
        changes = measure_changes(measure, logits, evaluated)
        way = measure.way(evaluated)
        columns |= _change_columns(changes) | {measure.to_constant: changes.changes / way}
        columns |= _test_columns(changes, margin * abs(way), evaluated.sample.seed, tested)
        by_name[measure.name] = changes
    return Effects(pd.DataFrame(columns), by_name)


def _change_columns(changes: Changes) -> dict[str, np.ndarray]:
    values = {} if changes.measure.is_distance else {changes.measure.name: changes.values}
    return values | estimate_columns(changes.measure.change, changes.changes, changes.low, changes.high)


def _test_columns(changes: Changes, margin: float, seed: int, tested: np.ndarray) -> dict[str, np.ndarray]:
    p = np.full(len(changes.changes), np.nan)
    if tested.any():
        p[tested] = change_p_values(changes.of(tested), margin, seed)
    return {f"{changes.measure.name}_p": p, f"{changes.measure.name}_q": q_values(p)}


def verdicts(effects: Effects, measure: Measure, margin: float | np.ndarray, queries: int) -> np.ndarray:
    """Verdict on each mask by a measure that needs grades, [mask].

    NEEDED or HARMFUL: significant (q), and the whole interval beyond the margin; by a measure of queries, of which
    ENOUGH_CHANGED change by more than it. SMALL: significant, and the whole interval within it. NO_EFFECT: the whole
    interval within it. UNDECIDED: none of these, and everything where the model is no better than the constant one.

    Within the margin must be the wider interval that allows for what the sample may have missed, and of
    ENOUGH_QUERIES.

    Args:
        margin: share of the way to the constant model from which a change matters, the same of every mask or [mask].
    """
    changes = effects.changes[measure.name]
    sure = (effects.frame[f"{measure.name}_q"] < SIGNIFICANCE).to_numpy()
    enough = _enough_changed(changes, margin)
    needed, harmful = enough & (changes.share_low > margin), enough & (changes.share_high < -np.asarray(margin))
    within = equivalent(changes.share_least, changes.share_most, margin) & (queries >= ENOUGH_QUERIES)
    return np.select(
        [sure & needed, sure & harmful, sure & within, within], [NEEDED, HARMFUL, SMALL, NO_EFFECT], UNDECIDED
    )


def _enough_changed(changes: Changes, margin: float | np.ndarray) -> np.ndarray:
    """Whether ENOUGH_CHANGED queries change by more than the margin, bool [mask].

    Less does not count: every query's pairwise log loss changes with its scores, wherever the effect sits. True by a
    measure of pairs, whose intervals need no more.
    """
    if changes.measure.per != "query":
        return np.ones(len(changes.changes), dtype=bool)
    return changes.changed_queries(margin) >= ENOUGH_CHANGED


def inert(effects: Effects, measures: MeasureSet, margin: float, queries: int) -> np.ndarray:
    """Whether a head is inert, bool [mask]: every measure without grades is surely below the size that matters."""
    below = [effects.changes[measure.name].share_most < margin for measure in measures.label_free]
    return np.all(below, axis=0) & (queries >= ENOUGH_QUERIES)


def importance_rank(effects: pd.DataFrame, measures: MeasureSet) -> np.ndarray:
    """Rank of masks by how much they change predictions, from 1, [mask]."""
    return effects[measures.rank_by.change].rank(ascending=False, method="first").astype(int).to_numpy()


def head_effects(
    logits: np.ndarray, evaluated: EvaluationSet, measures: MeasureSet, primary: Measure, margin: float
) -> pd.DataFrame:
    """Effects of single heads and what follows from them: the columns of `pipeline.tables.head_ablation.HEADS` from
    `verdict` to the last but those of `compare_ablation_types`.

    Args:
        logits: under each head's mask, [head, pair, output].
        measures: of the kind of model.
        primary: the measure that decides verdicts.
        margin: share of the way to the constant model from which a change matters.
    """
    effects = measure_effects(logits, evaluated, margin, measures)
    way, p = primary.way(evaluated), effects.frame[f"{primary.name}_p"].to_numpy()
    decided = {
        "verdict": verdicts(effects, primary, margin, evaluated.sample.queries),
        "rank": importance_rank(effects.frame, measures),
        "is_inert": inert(effects, measures, margin, evaluated.sample.queries),
    }
    smallest = detectable(effects.changes[primary.name], p, margin * abs(way)) / abs(way)
    frame = pd.DataFrame(decided).join(effects.frame).assign(detectable_to_constant=smallest)
    return frame if evaluated.is_ranked else frame.join(logit_shifts(logits, evaluated))


def logit_shifts(logits: np.ndarray, evaluated: EvaluationSet) -> pd.DataFrame:
    """Mean change of each grade's logit against the mean over grades, ``logit_shift_0`` onwards, a row a mask."""
    centred = logits - logits.mean(axis=-1, keepdims=True, dtype=np.float64)
    unmasked = evaluated.unmasked_logits - evaluated.unmasked_logits.mean(axis=-1, keepdims=True, dtype=np.float64)
    shifts = centred.mean(axis=1) - unmasked.mean(axis=0)
    return pd.DataFrame({f"logit_shift_{grade}": shifts[:, grade] for grade in range(logits.shape[-1])})


def largest_gain_by_chance(changes: Changes, seed: int) -> tuple[float, float]:
    """Largest gain of any mask, and the largest that chance gives in LEVEL of the cases, in standard errors each.

    By chance a query's masked and unmasked predictions are exchanged, for all masks at once, which keeps how masks hang
    together. The unit makes masks of large and small effects comparable.

    Returns:
        NaN twice for a measure that is no mean, or where nothing changes.
    """
    if not changes.measure.is_mean:
        return np.nan, np.nan
    gains = -changes.measure.harm(changes.sums[1:, :, 0] - changes.sums[0, :, 0])  # [mask, query]
    gains = gains[(gains != 0).any(axis=1)]
    if not len(gains):
        return np.nan, np.nan
    gains = gains / np.sqrt(
        (gains**2).sum(axis=1, keepdims=True)
    )  # whose sum is in standard errors, whatever the signs
    signs = np.random.default_rng([seed, 4]).choice(np.array([-1.0, 1.0]), size=(gains.shape[1], CHANCE_DRAWS))
    return float(gains.sum(axis=1).max()), float(np.quantile((gains @ signs).max(axis=0), LEVEL))


def unlabelled_effects(
    logits: np.ndarray, evaluated: EvaluationSet, measures: MeasureSet, margin: float
) -> pd.DataFrame:
    """Effects on pairs without grades: the columns of `pipeline.tables.head_ablation.UNLABELLED_HEADS` but the head."""
    effects = measure_effects(logits, evaluated, margin, measures)
    return pd.DataFrame({"is_inert": inert(effects, measures, margin, evaluated.sample.queries)}).join(effects.frame)


ZERO, OTHERS = "zero", ("mean", "resample")


def compare_ablation_types(
    logits: Mapping[str, np.ndarray], evaluated: EvaluationSet, measures: MeasureSet, primary: Measure, margin: float
) -> pd.DataFrame:
    """Effects of every mask under each ablation type, on the same pairs.

    Args:
        logits: ZERO and OTHERS -> [mask, pair, output].
        measures, primary, margin: as of `head_effects`.

    Returns:
        `zero_to_constant` to `zero_ablation_only` of `pipeline.tables.head_ablation.HEADS`, a row a mask.
    """
    columns: dict[str, np.ndarray] = {}
    significant, ranked = {}, measures.rank_by
    for name in (ZERO, *OTHERS):
        effects = effects_by_measure(logits[name], evaluated, margin, (primary, ranked), None).frame
        columns[primary.to_constant.replace(primary.name, name)] = effects[primary.to_constant].to_numpy()
        columns[f"{name}_{ranked.name}"] = effects[ranked.change].to_numpy()
        significant[name] = (effects[f"{primary.name}_q"] < SIGNIFICANCE).to_numpy()
    columns["zero_ablation_only"] = significant[ZERO] & ~np.any([significant[name] for name in OTHERS], axis=0)
    return pd.DataFrame(columns)


Metrics = dict[str, float | int | None]


def head_metrics(
    heads: pd.DataFrame,
    scales: pd.DataFrame,
    logits: np.ndarray,
    evaluated: EvaluationSet,
    measures: MeasureSet,
    primary: Measure,
) -> Metrics:
    """From heads.csv's frame, that of its measures' scales, and the logits and pairs they were measured on."""
    ranked = measures.rank_by
    divergence = heads[ranked.change].rank()
    numbers: dict[str, float] = {}
    for _, scale in scales.iterrows():
        numbers |= {f"{scale['measure']}_{name}": float(scale[name]) for name in ("unmasked", "constant")}
    changes = measure_changes(primary, logits, evaluated)
    numbers["largest_gain"], numbers["largest_gain_by_chance"] = largest_gain_by_chance(changes, evaluated.sample.seed)
    for measure in measures.tested:
        shares = heads[measure.to_constant]
        numbers |= {f"{measure.name}_worst_to_constant": shares.max(), f"{measure.name}_best_to_constant": shares.min()}
    numbers["importance_rank_correlation"] = float(heads.gradient_importance.rank().corr(divergence))
    for name in OTHERS:
        other = heads[f"{name}_{ranked.name}"].rank()
        numbers[f"rank_agreement_zero_{name}"] = float(heads[f"{ZERO}_{ranked.name}"].rank().corr(other))
    counts: Metrics = {
        "pairs": len(evaluated.unmasked_logits),
        "queries": evaluated.sample.queries,
        **{verdict.replace(" ", "_"): int((heads.verdict == verdict).sum()) for verdict in VERDICTS},
        "inert": int(heads.is_inert.sum()),
        "zero_ablation_only": int(heads.zero_ablation_only.sum()),
        **{
            f"{measure.name}_significant": int((heads[f"{measure.name}_q"] < SIGNIFICANCE).sum())
            for measure in measures.tested
        },
    }
    return counts | {name: none_if_nan(value) for name, value in numbers.items()}


def predicted_counts(logits: np.ndarray) -> pd.DataFrame:
    """Counts of the predicted grades, ``predicted_0`` onwards, a row per mask; no columns of a ranker."""
    predicted, count = logits.argmax(-1), logits.shape[-1]
    if count == 1:
        return pd.DataFrame(index=range(len(logits)))
    return pd.DataFrame({f"predicted_{grade}": (predicted == grade).sum(axis=1) for grade in range(count)})


def group_metrics(groups: pd.DataFrame, measures: MeasureSet) -> Metrics:
    """Change of every tested measure, as a share of the way, of the named groups, and its mean over the random ones."""
    names = {"lower_half": ("half", "lower"), "upper_half": ("half", "upper"), "random_k": ("random_k", "random")}
    shares = [measure.to_constant for measure in measures.tested]
    by_group = groups.groupby(["group_type", "group"], sort=False)[shares].mean()
    for group_type, prefix in (("function", ""), ("lower_except", "lower_except_")):
        names |= {f"{prefix}{key[1]}": key for key in by_group.index if key[0] == group_type}
    return {
        f"{name}_{column}": none_if_nan(float(by_group[column].to_dict().get(key, np.nan)))
        for name, key in names.items()
        for column in by_group
    }
