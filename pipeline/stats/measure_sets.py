"""The two kinds of model, graders and rankers, and the measures that each is judged by."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.core.errors import InputError
from pipeline.stats import grading_measures as grading
from pipeline.stats import ranking_measures as ranking
from pipeline.stats.measures import EvaluationSet, Measure
from pipeline.stats.metrics import top_two_margins
from pipeline.stats.temperature import fit_score_temperature, fit_temperature

DEFAULT = "default"  # ablation.primary_measure: the kind's own


@dataclass(frozen=True)
class MeasureSet:
    """Measures of a kind of model.

    Attributes:
        kind: "grader" or "ranker".
        headline: what the article's findings are judged by, in its way: as a relative change.
        default_primary: decides verdicts on heads unless ablation.primary_measure names another.
        tested: with tests and a scale, in the order of columns.
        rank_by: without grades; ranks heads by how much they change predictions.
        collapse_by: by which a masked model that is hardly better than the constant one has collapsed.
        margin: mean over pairs of how far a model is right, linear in its logits; mediation is measured by it.
        described: with intervals, and not tested, by the number of outputs.
        decisions: what a model decides of pairs, [..., pair] of logits [..., pair, output] and query ids [pair]: a
            grader their grades, a ranker their ranks.
        decision_margins: of the same, how far in logits another decision is, [..., pair].
        temperature: fitted on the unmasked logits, see `pipeline.stats.temperature`.
        tallies: what counts of better and worse predictions an effect has, by column, [mask] of logits
            [mask, pair, output].
    """

    kind: str
    headline: Measure
    default_primary: Measure
    tested: tuple[Measure, ...]
    rank_by: Measure
    collapse_by: Measure
    margin: Measure
    described: Callable[[int], tuple[Measure, ...]]
    decisions: Callable[[np.ndarray, np.ndarray], np.ndarray]
    decision_margins: Callable[[np.ndarray, np.ndarray], np.ndarray]
    temperature: Callable[[EvaluationSet], float]
    tallies: Callable[[np.ndarray, EvaluationSet], dict[str, np.ndarray]]

    @cached_property
    def by_name(self) -> dict[str, Measure]:
        return {measure.name: measure for measure in self.tested}

    @property
    def label_free(self) -> tuple[Measure, ...]:
        """Those that need no grades."""
        return tuple(measure for measure in self.tested if not measure.needs_grades)

    @property
    def graded(self) -> tuple[Measure, ...]:
        """Those that need grades, and may decide verdicts."""
        return tuple(measure for measure in self.tested if measure.needs_grades)

    def primary(self, name: str) -> Measure:
        """The measure that decides verdicts, by its name or DEFAULT. Raises InputError: not one of `graded`."""
        return self._graded("ablation.primary_measure", name, self.default_primary)

    def guarded(self, name: str) -> Measure:
        """The measure that pruning may hardly harm, by its name or DEFAULT. Raises InputError: as `primary`."""
        return self._graded("pruning.measure", name, self.headline)

    def _graded(self, key: str, name: str, default: Measure) -> Measure:
        if name == DEFAULT:
            return default
        names = [measure.name for measure in self.graded]
        if name not in names:
            raise InputError(
                f"{key} is {name!r}, which a {self.kind} does not have; "
                f"it must be {DEFAULT} or one of {', '.join(names)}"
            )
        return self.by_name[name]


def _flip_counts(logits: np.ndarray, evaluated: EvaluationSet) -> dict[str, np.ndarray]:
    lost, won = grading.flips(logits, evaluated)
    return {"right_to_wrong": lost.sum(axis=1), "wrong_to_right": won.sum(axis=1)}


def _grade_temperature(evaluated: EvaluationSet) -> float:
    return fit_temperature(evaluated.unmasked_logits, evaluated.gold)


def _query_counts(logits: np.ndarray, evaluated: EvaluationSet) -> dict[str, np.ndarray]:
    changes = ranking.gain_changes(logits, evaluated)
    return {"queries_worse": (changes < 0).sum(axis=1), "queries_better": (changes > 0).sum(axis=1)}


GRADER = MeasureSet(
    kind="grader",
    headline=grading.ACCURACY,
    default_primary=grading.LOG_LOSS,
    tested=(
        grading.ACCURACY,
        grading.LOG_LOSS,
        grading.LOGIT_MARGIN,
        grading.QWK,
        grading.KL_DIVERGENCE,
        grading.CHANGED_PREDICTIONS,
    ),
    rank_by=grading.KL_DIVERGENCE,
    collapse_by=grading.QWK,
    margin=grading.LOGIT_MARGIN,
    described=grading.described,
    decisions=lambda logits, query_ids: logits.argmax(axis=-1),
    decision_margins=lambda logits, query_ids: top_two_margins(logits),
    temperature=_grade_temperature,
    tallies=_flip_counts,
)
RANKER = MeasureSet(
    kind="ranker",
    headline=ranking.NDCG_AT_10,
    default_primary=ranking.PAIRWISE_LOG_LOSS,
    tested=(
        ranking.NDCG_AT_10,
        ranking.MRR_AT_10,
        ranking.PAIRWISE_ACCURACY,
        ranking.PAIRWISE_LOG_LOSS,
        ranking.SCORE_MARGIN,
        ranking.KL_DIVERGENCE,
        ranking.KENDALL_DISTANCE,
        ranking.TOP_TITLE_CHANGED,
    ),
    rank_by=ranking.KL_DIVERGENCE,
    collapse_by=ranking.PAIRWISE_ACCURACY,
    margin=ranking.SCORE_MARGIN,
    described=lambda outputs: (),
    decisions=ranking.ranks,
    decision_margins=ranking.rank_margins,
    temperature=fit_score_temperature,
    tallies=_query_counts,
)
KINDS = (GRADER, RANKER)


def measure_set(is_ranker: bool) -> MeasureSet:
    """Measures of a run's model, by `Params.is_ranker`."""
    return RANKER if is_ranker else GRADER
