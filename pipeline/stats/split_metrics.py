"""Metrics of a model on the prepared splits: a grader's, which has one output a grade, or a ranker's, which has one.

A ranker's are at the temperature fitted on dev: pairwise log loss and score margin mean nothing of raw scores.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measure_sets import RANKER
from pipeline.stats.measures import EvaluationSet, Measure
from pipeline.stats.metrics import UNDEFINED, NamedMetrics, grade_metrics, none_if_nan, spearman
from pipeline.stats.ranking_measures import resolved
from pipeline.stats.temperature import fit_score_temperature

ONE_GRADE = "no query has titles of different grades"
RANKING_UNDEFINED = {
    "ndcg_at_10": UNDEFINED["ndcg_at_10"],
    "spearman": "no query has titles that differ both in grade and in score",
}


def split_metrics(split: pd.DataFrame, logits: np.ndarray) -> NamedMetrics:
    """Metrics of a prepared split (columns grade and query_id) and its logits [pair, output].

    `grade_metrics` of a grader, `ranking_metrics` of a ranker, at the temperature fitted on this very split.
    """
    evaluated = evaluation_set(split, logits)
    if evaluated.is_ranked:
        return ranking_metrics(evaluated, fit_score_temperature(evaluated))
    return grade_metrics(logits, split["grade"].to_numpy(), split["query_id"].to_numpy())


def metrics_by_split(splits: dict[str, pd.DataFrame], logits: dict[str, np.ndarray]) -> NamedMetrics:
    """The metrics of every split, dev among them, as <split>_<metric>, and the reasons of the undefined ones."""
    scores: dict[str, float | None] = {}
    undefined: dict[str, str] = {}
    dev = evaluation_set(splits["dev"], logits["dev"])
    temperature = fit_score_temperature(dev) if dev.is_ranked else None
    for name, split in splits.items():
        if temperature is None:
            values, reasons = split_metrics(split, logits[name])
        else:
            values, reasons = ranking_metrics(evaluation_set(split, logits[name]), temperature)
        scores |= {f"{name}_{metric}": value for metric, value in values.items()}
        undefined |= {f"{name}_{metric}": reason for metric, reason in reasons.items()}
    return scores, undefined


def ranking_metrics(evaluated: EvaluationSet, temperature: float) -> NamedMetrics:
    """Metrics of a ranker's scores over a temperature: its measures that need grades, and Spearman's correlation.

    Returns:
        The values by name, and for each value that is None the reason.
    """
    calibrated = replace(evaluated, unmasked_logits=evaluated.unmasked_logits.astype(np.float64) / temperature)
    values = {measure.name: value_of(measure, calibrated) for measure in RANKER.graded}
    scores = resolved(calibrated.unmasked_logits, calibrated)
    values["spearman"] = spearman(scores, evaluated.gold, evaluated.sample.query_ids)
    return values, {name: RANKING_UNDEFINED.get(name, ONE_GRADE) for name, value in values.items() if value is None}


def value_of(measure: Measure, evaluated: EvaluationSet) -> float | None:
    """Value of a measure of the unmasked model; None where undefined."""
    statistics = measure.statistics(evaluated.unmasked_logits[None], evaluated)
    return none_if_nan(float(measure.value(statistics.sum(axis=1))[0]))


def evaluation_set(split: pd.DataFrame, logits: np.ndarray) -> EvaluationSet:
    """Evaluation set of a prepared split and its logits [pair, output], for values without intervals."""
    return EvaluationSet(split["grade"].to_numpy(), logits, QuerySample(split["query_id"].to_numpy(), 0, 0))
