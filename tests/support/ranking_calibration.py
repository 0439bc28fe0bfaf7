"""How often the statistics of rankers are wrong where the truth is known: simulated heads on populations of queries.

As `tests.support.calibration`, but a population keeps the measures' statistics by query: a sample is some of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import (
    ENOUGH_CHANGED,
    HARMFUL,
    NEEDED,
    SMALL,
    Effects,
    verdicts,
)
from pipeline.stats.bootstrap import SIGNIFICANCE, QuerySample, q_values
from pipeline.stats.discordance import share_interval
from pipeline.stats.measures import Changes, EvaluationSet, Measure, changes_of_sums
from pipeline.stats.paired_tests import change_p_values
from pipeline.stats.ranking_measures import TOP_TITLE_CHANGED
from pipeline.stats.temperature import fit_score_temperature

MARGIN = 0.02
RESAMPLES = 20  # no interval here is the bootstrap's
TITLES = (6, 30)  # of a query
GRADED, CLICKS = (0.55, 0.25, 0.15, 0.05), (0.9, 0.1)  # shares of the grades


@dataclass(frozen=True)
class RankedPopulation:
    """Queries of many titles, by the measures' statistics of them.

    Attributes:
        sums: of each measure, of the unmasked model, of every mask and of the constant model, [1 + mask + 1, query, 2].
    """

    sums: dict[Measure, np.ndarray]

    @property
    def queries(self) -> int:
        return next(iter(self.sums.values())).shape[1]

    def changes(self, measure: Measure) -> np.ndarray:
        """True changes, of every mask and of the constant model, [mask + 1]."""
        values = measure.value(self.sums[measure].sum(axis=1))
        return measure.changes(values[1:], values[0])

    def shares(self, measure: Measure) -> np.ndarray:
        """True changes as shares of the way to the constant model, [mask]."""
        changes = self.changes(measure)
        return changes[:-1] / changes[-1]

    def drawn(self, queries: int, seed: int) -> dict[Measure, Changes]:
        """Changes in a sample of so many queries, drawn with replacement."""
        chosen = np.random.default_rng([seed, 20]).integers(self.queries, size=queries)
        sample = QuerySample(np.arange(queries), RESAMPLES, seed)
        return {measure: _changes(measure, sums[:, chosen], sample) for measure, sums in self.sums.items()}


def _changes(measure: Measure, sums: np.ndarray, sample: QuerySample) -> Changes:
    exact = share_interval(sums[1:-1, :, 0].sum(axis=1), sums[0, :, 1].sum()) if measure is TOP_TITLE_CHANGED else None
    return changes_of_sums(measure, sums, sample, exact)


def unmasked(queries: int, grades: Sequence[float], rng: np.random.Generator) -> EvaluationSet:
    """Scores of queries of 6 to 30 titles, of which one at least has a gain; scores of a query have a common part."""
    query_ids = np.repeat(np.arange(queries), rng.integers(TITLES[0], TITLES[1], queries, endpoint=True))
    gold = rng.choice(len(grades), len(query_ids), p=grades)
    first = np.flatnonzero(np.diff(query_ids, prepend=-1))
    gold[first] = np.maximum(gold[first], 1)
    scores = 1.2 * gold + rng.normal(0, 1.2, len(query_ids)) + rng.normal(0, 1, queries)[query_ids]
    raw = EvaluationSet(gold, scores[:, None], QuerySample(query_ids, RESAMPLES, 0))
    return EvaluationSet(gold, raw.unmasked_logits / fit_score_temperature(raw), raw.sample)


def population(evaluated: EvaluationSet, logits: np.ndarray, measures: Sequence[Measure]) -> RankedPopulation:
    rows = np.concatenate([evaluated.unmasked_logits[None], logits, evaluated.constant_logits[None]])
    return RankedPopulation({measure: measure.statistics(rows, evaluated) for measure in measures})


def noisy_heads(queries: int, heads: int, grades: Sequence[float], measures: Sequence[Measure]) -> RankedPopulation:
    """Masks that move each title's score, and all of a query alike; some next to nothing, some much."""
    rng = np.random.default_rng(0)
    evaluated = unmasked(queries, grades, rng)
    sizes, shape = np.geomspace(0.03, 2, heads)[:, None, None], evaluated.unmasked_logits.shape
    common = rng.normal(0, 1, (heads, queries, 1))[:, evaluated.sample.query_ids]
    moved = sizes * (common + rng.normal(0, 1, (heads, *shape)))
    return population(evaluated, evaluated.unmasked_logits + moved, measures)


def dense_heads(queries: int, heads: int, grades: Sequence[float], measures: Sequence[Measure]) -> RankedPopulation:
    """Masks that lower (or, every other one, raise) the scores of titles by their grade a little in every query."""
    rng = np.random.default_rng(0)
    evaluated = unmasked(queries, grades, rng)
    sizes = np.geomspace(0.02, 0.3, heads)[:, None, None] * np.where(np.arange(heads) % 2, 1, -1)[:, None, None]
    noise = rng.normal(0, 0.1, (heads, *evaluated.unmasked_logits.shape))
    return population(evaluated, evaluated.unmasked_logits + sizes * evaluated.gold[:, None] + noise, measures)


def sparse_heads(
    queries: int, shares: Sequence[float], drop: float, grades: Sequence[float], measures: Sequence[Measure]
) -> RankedPopulation:
    """Masks that change the scores of a share of the queries much by grade, and hardly those of any other.

    Args:
        shares: of each mask; every other one raises scores.
        drop: of a score for each grade in what changes.
    """
    rng = np.random.default_rng(0)
    evaluated = unmasked(queries, grades, rng)
    struck = (rng.random((len(shares), queries)) < np.array(shares)[:, None])[:, evaluated.sample.query_ids, None]
    sizes = drop * np.where(np.arange(len(shares)) % 2, 1, -1)[:, None, None]
    noise = rng.normal(0, 0.02, (len(shares), *evaluated.unmasked_logits.shape))
    return population(evaluated, evaluated.unmasked_logits + sizes * struck * evaluated.gold[:, None] + noise, measures)


@dataclass(frozen=True)
class IdleHeads:
    """Masks without any effect: exchangeable predictions of each query, `sums` [draw, query, 2] of each measure.

    How many queries a mask gives other predictions than the unmasked model differs from mask to mask.
    """

    sums: dict[Measure, np.ndarray]

    def drawn(self, queries: int, heads: int, seed: int) -> dict[Measure, Changes]:
        rng = np.random.default_rng([seed, 22])
        draws, of_all, _ = next(iter(self.sums.values())).shape
        chosen = rng.integers(of_all, size=queries)
        order = rng.permuted(np.tile(np.arange(draws - 1), (queries, 1)), axis=1).T[: 1 + heads]  # [row, query]
        moved = rng.random((heads, queries)) < np.geomspace(0.03, 1, heads)[:, None]
        rows = np.concatenate([order[:1], np.where(moved, order[1:], order[:1]), np.full((1, queries), draws - 1)])
        sample = QuerySample(np.arange(queries), RESAMPLES, seed)
        return {measure: _changes(measure, sums[rows, chosen], sample) for measure, sums in self.sums.items()}


def idle_heads(queries: int, heads: int, grades: Sequence[float], measures: Sequence[Measure]) -> IdleHeads:
    rng = np.random.default_rng(0)
    base = unmasked(queries, grades, rng)
    noise = rng.normal(0, 1, (1 + heads, *base.unmasked_logits.shape))
    evaluated = EvaluationSet(base.grades, base.unmasked_logits + noise[0], base.sample)
    return IdleHeads(population(evaluated, base.unmasked_logits + noise[1:], measures).sums)


def false_alarms(idle: IdleHeads, queries: int, heads: int, repetitions: int) -> pd.DataFrame:
    """Shares of repetitions in which any of the heads, all without effect, is declared, a row a measure.

    `verdict`: needed or harmful; `q`: below SIGNIFICANCE.
    """
    found = []
    for seed in range(repetitions):
        for measure, changes in idle.drawn(queries, heads, seed).items():
            effects = _effects(changes, q_values(change_p_values(changes, 0.0, seed)))
            verdict = verdicts(effects, measure, MARGIN, queries)
            declared = np.isin(verdict, (NEEDED, HARMFUL)).any()
            q = effects.frame[f"{measure.name}_q"]
            found.append({"measure": measure.name, "verdict": declared, "q": (q < SIGNIFICANCE).any()})
    return pd.DataFrame(found).groupby("measure", sort=False).mean()


def _effects(changes: Changes, q: np.ndarray) -> Effects:
    return Effects(pd.DataFrame({f"{changes.measure.name}_q": q}), {changes.measure.name: changes})


def coverage(truth: RankedPopulation, queries: int, repetitions: int) -> pd.DataFrame:
    """Shares of the intervals that hold the population's change, a row a measure.

    `enough`: of those in which ENOUGH_CHANGED queries change by more than MARGIN; `few`: of the others; `share_enough`:
    how many are the former.
    """
    true = {measure: truth.changes(measure)[:-1] for measure in truth.sums}
    held = []
    for seed in range(repetitions):
        for measure, changes in truth.drawn(queries, seed).items():
            holds = (changes.low <= true[measure]) & (true[measure] <= changes.high)
            many = changes.changed_queries(MARGIN) >= ENOUGH_CHANGED
            held.append(pd.DataFrame({"measure": measure.name, "many": many, "holds": holds}))
    found = pd.concat(held)
    by_measure = found.groupby("measure", sort=False)["many"].mean().rename("share_enough").to_frame()
    shares = found.groupby(["measure", "many"])["holds"].mean().unstack("many").reindex(columns=[True, False])
    return by_measure.assign(enough=shares[True], few=shares[False])


def wrong_claims(truth: RankedPopulation, queries: int, repetitions: int) -> pd.DataFrame:
    """Shares of samples in which a head is claimed to be what it is not, its true effect being just the margin.

    Each head's margin is its own effect in the population; every head counts as significant, so that only intervals
    stand between it and a claim.

    Returns:
        A row a measure that needs grades and mask: `small`, its effect is said to be within the margin; `small_of_few`,
        and fewer than ENOUGH_CHANGED queries change by more; `beyond`, to be beyond it; `sign`, to be beyond it on the
        other side.
    """
    rows = []
    for seed in range(repetitions):
        for measure, changes in truth.drawn(queries, seed).items():
            shares = truth.shares(measure)
            verdict = verdicts(_effects(changes, np.zeros(len(shares))), measure, np.abs(shares), queries)
            right, wrong = np.where(shares > 0, [[NEEDED], [HARMFUL]], [[HARMFUL], [NEEDED]])
            claims = {"small": verdict == SMALL, "beyond": verdict == right, "sign": verdict == wrong}
            few = changes.changed_queries(np.abs(shares)) < ENOUGH_CHANGED
            claims["small_of_few"] = claims["small"] & few
            rows.append(pd.DataFrame({"measure": measure.name, "mask": np.arange(len(shares)), **claims}))
    return pd.concat(rows).groupby(["measure", "mask"], sort=False).mean()
