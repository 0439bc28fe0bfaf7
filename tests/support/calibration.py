"""How often the statistics are wrong where the truth is known: simulated heads on populations of queries.

A population is a few thousand queries with predictions under every mask; its own effects are the truth. A sample is
queries drawn from it with replacement, as a corpus draws them from all that users type.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.ablation.head_groups import Group
from pipeline.analysis.ablation_effects import HARMFUL, NEEDED, SMALL, Effects, measure_effects, verdicts
from pipeline.analysis.random_controls import contrasts
from pipeline.stats.bootstrap import SIGNIFICANCE, QuerySample
from pipeline.stats.grading_measures import ACCURACY, LOG_LOSS
from pipeline.stats.measure_sets import GRADER
from pipeline.stats.measures import EvaluationSet, Measure, measure_changes, point_changes

GRADES = 5
PAIRS_A_QUERY = 5.5
MARGIN = 0.02
RESAMPLES = 500


@dataclass(frozen=True)
class Population:
    """Pairs of many queries, and their logits under each mask, [mask, pair, grade]."""

    evaluated: EvaluationSet
    logits: np.ndarray

    def sample(self, pairs: int, seed: int) -> "Population":
        """About so many pairs of whole queries, drawn with replacement; a query drawn twice is two."""
        query_ids = self.evaluated.sample.query_ids
        starts = np.flatnonzero(np.diff(query_ids, prepend=-1))
        sizes = np.diff(starts, append=len(query_ids))
        count = round(pairs / sizes.mean())
        drawn = np.random.default_rng([seed, 20]).integers(len(starts), size=count)
        rows = np.concatenate([np.arange(starts[query], starts[query] + sizes[query]) for query in drawn])
        sample = QuerySample(np.repeat(np.arange(count), sizes[drawn]), RESAMPLES, seed)
        evaluated = EvaluationSet(self.evaluated.gold[rows], self.evaluated.unmasked_logits[rows], sample)
        return Population(evaluated, self.logits[:, rows])

    def changes(self, measure: Measure) -> np.ndarray:
        """True changes, [mask]."""
        return point_changes(measure, self.logits, self.evaluated)

    def shares(self, measure: Measure) -> np.ndarray:
        """True changes as shares of the way to the constant grader, [mask]."""
        return self.changes(measure) / measure.way(self.evaluated)


def unmasked(queries: int, rng: np.random.Generator) -> EvaluationSet:
    """Predictions on queries of 2 to 9 titles, each query with a difficulty of its own."""
    query_ids = np.repeat(np.arange(queries), rng.integers(2, 10, queries))
    grades = rng.integers(0, GRADES, len(query_ids))
    logits = rng.normal(0, 1, (len(query_ids), GRADES)) + 3.5 * (np.arange(GRADES) == grades[:, None])
    logits += rng.normal(0, 1, (queries, GRADES))[query_ids]
    return EvaluationSet(grades, logits, QuerySample(query_ids, RESAMPLES, 0))


def noisy_heads(queries: int, heads: int, seed: int) -> Population:
    """Masks that move all titles of a query alike, and its titles apart; some next to nothing, some much."""
    rng = np.random.default_rng(seed)
    evaluated = unmasked(queries, rng)
    sizes = np.geomspace(0.1, 3, heads)[:, None, None]
    shape = evaluated.unmasked_logits.shape
    common = rng.normal(0, 1, (heads, queries, GRADES))[:, evaluated.sample.query_ids]
    moved = sizes * (common + rng.normal(0, 1, (heads, *shape))) / np.sqrt(2)
    return Population(evaluated, evaluated.unmasked_logits + moved)


def dense_heads(queries: int, heads: int, seed: int) -> Population:
    """Masks that lower (or, every other one, raise) the gold logit of every pair a little."""
    rng = np.random.default_rng(seed)
    evaluated = unmasked(queries, rng)
    gold = np.arange(GRADES) == evaluated.gold[:, None]
    sizes = np.geomspace(0.05, 0.3, heads)[:, None, None] * np.where(np.arange(heads) % 2, 1, -1)[:, None, None]
    noise = rng.normal(0, 0.2, (heads, *evaluated.unmasked_logits.shape))
    return Population(evaluated, evaluated.unmasked_logits + sizes * gold + noise)


def sparse_heads(queries: int, shares: Sequence[float], drop: float, by_query: bool, seed: int) -> Population:
    """Masks that change a share of the pairs much, or all pairs of a share of the queries, and hardly any other.

    Args:
        shares: of each mask; every other one raises the gold logit.
        drop: of the gold logit in what changes.
    """
    rng = np.random.default_rng(seed)
    evaluated = unmasked(queries, rng)
    gold = np.arange(GRADES) == evaluated.gold[:, None]
    query_ids = evaluated.sample.query_ids
    units = query_ids if by_query else np.arange(len(query_ids))
    struck = rng.random((len(shares), units.max() + 1)) < np.array(shares)[:, None]
    sizes = drop * np.where(np.arange(len(shares)) % 2, 1, -1)[:, None, None]
    noise = rng.normal(0, 0.05, (len(shares), *evaluated.unmasked_logits.shape))
    return Population(evaluated, evaluated.unmasked_logits + sizes * struck[:, units, None] * gold + noise)


def random_groups(queries: int, groups: int, seed: int) -> Population:
    """Masks of 7 of 72 heads each, of which two cost much and the others little: their effects are skewed."""
    rng = np.random.default_rng(seed)
    evaluated = unmasked(queries, rng)
    gold = np.arange(GRADES) == evaluated.gold[:, None]
    costs = np.append([2.0, 2.5], rng.exponential(0.03, 70))
    chosen = np.argsort(rng.random((groups, len(costs))), axis=1)[:, :7]
    cost = costs[chosen].sum(axis=1)[:, None, None]
    noise = rng.normal(0, 1, (groups, *gold.shape)) * np.sqrt(cost)
    return Population(evaluated, evaluated.unmasked_logits - cost * gold + noise)


def idle_heads(queries: int, heads: int, seed: int) -> Population:
    """Masks without any effect: what they move they draw anew from where the unmasked predictions came from.

    Swapping a query's unmasked and masked predictions changes no distribution: that is the null of the tests. How many
    pairs are moved, pairs of a query together, differs from mask to mask.
    """
    rng = np.random.default_rng(seed)
    base = unmasked(queries, rng)
    query_ids, shape = base.sample.query_ids, base.unmasked_logits.shape
    noise = rng.normal(0, 1, (1 + heads, queries, GRADES))[:, query_ids] + rng.normal(0, 1, (1 + heads, *shape))
    moved = rng.random((heads, queries, 1))[:, query_ids] < np.geomspace(0.03, 1, heads)[:, None, None]
    evaluated = EvaluationSet(base.grades, base.unmasked_logits + noise[0], base.sample)
    return Population(evaluated, base.unmasked_logits + np.where(moved, noise[1:], noise[0]))


def false_alarms(pairs: int, heads: int, repetitions: int) -> pd.Series:
    """Shares of repetitions in which any of the heads, all without effect, is declared, by measure.

    `<measure>`: its verdict is needed or harmful; `<measure>_q`: its q is below SIGNIFICANCE.
    """
    found = []
    for seed in range(repetitions):
        drawn = idle_heads(round(pairs / PAIRS_A_QUERY), heads, seed)
        effects = measure_effects(drawn.logits, drawn.evaluated, MARGIN, GRADER)
        declared = {}
        for measure in GRADER.graded:
            verdict = verdicts(effects, measure, MARGIN, drawn.evaluated.sample.queries)
            declared[measure.name] = np.isin(verdict, (NEEDED, HARMFUL)).any()
            declared[f"{measure.name}_q"] = (effects.frame[f"{measure.name}_q"] < SIGNIFICANCE).any()
        found.append(declared)
    return pd.DataFrame(found).mean()


def coverage(population: Population, measures: Sequence[Measure], pairs: int, repetitions: int) -> pd.Series:
    """Share of the intervals of all masks' changes that hold the population's, by measure."""
    held: dict[str, list[np.ndarray]] = {measure.name: [] for measure in measures}
    for seed in range(repetitions):
        drawn = population.sample(pairs, seed)
        for measure in measures:
            changes = measure_changes(measure, drawn.logits, drawn.evaluated)
            truth = population.changes(measure)
            held[measure.name].append((changes.low <= truth) & (truth <= changes.high))
    return pd.Series({name: np.mean(every) for name, every in held.items()})


def wrong_claims(population: Population, primary: Measure, pairs: int, repetitions: int) -> pd.DataFrame:
    """Shares of samples in which a head is claimed to be what it is not, its true effect being just the margin.

    Each head's margin is its own effect in the population; every head counts as significant, so that only intervals
    stand between it and a claim.

    Returns:
        A row a mask: `small`, its effect is said to be within the margin; `sign`, to be beyond it on the other side.
    """
    shares = population.shares(primary)
    wrong_sign = np.where(shares > 0, HARMFUL, NEEDED)
    found = []
    for seed in range(repetitions):
        drawn = population.sample(pairs, seed)
        changes = measure_changes(primary, drawn.logits, drawn.evaluated)
        effects = Effects(pd.DataFrame({f"{primary.name}_q": np.zeros(len(shares))}), {primary.name: changes})
        verdict = verdicts(effects, primary, np.abs(shares), drawn.evaluated.sample.queries)
        found.append(np.stack([verdict == SMALL, verdict == wrong_sign], axis=1))
    return pd.DataFrame(np.mean(found, axis=0), columns=["small", "sign"])


def average_coverage(population: Population, draws: int, pairs: int, repetitions: int) -> pd.Series:
    """Share of samples of pairs and masks in which the interval of R1's mean holds that of all the masks and pairs."""
    groups = [Group("random_share", "0.1", (), draw) for draw in range(draws)]
    held = []
    for seed in range(repetitions):
        drawn = population.sample(pairs, seed)
        chosen = np.random.default_rng([seed, 21]).choice(len(population.logits), draws, replace=False)
        changes = {
            measure.name: measure_changes(measure, drawn.logits[chosen], drawn.evaluated)
            for measure in (ACCURACY, LOG_LOSS)
        }
        found = contrasts(groups, changes, dict.fromkeys(changes, 1.0), drawn.evaluated.sample).set_index("measure")
        truth = pd.Series({measure.name: population.changes(measure).mean() for measure in (ACCURACY, LOG_LOSS)})
        held.append((found["change_low"] <= truth) & (truth <= found["change_high"]))
    return pd.DataFrame(held).mean()
