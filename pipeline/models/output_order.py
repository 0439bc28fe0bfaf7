"""Order of the outputs of a model that was fine-tuned elsewhere, judged by how they fit the grades of dev."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax
from scipy.stats import binomtest

from pipeline.core.config import Params
from pipeline.core.errors import InputError
from pipeline.models.checkpoint_files import note
from pipeline.stats.bootstrap import titles_by_query

SURE = 1e-3  # p-value below which another order fits better


def check_output_order(grades: np.ndarray, logits: np.ndarray, query_ids: np.ndarray, params: Params) -> None:
    """Check that a model's outputs are taken in the order that fits the grades: of a ranker, that higher is better.

    Says on stderr where a ranker's scores, or a grader's outputs in an order that model.label_order gives, fit worse
    than the other way round.

    Args:
        grades: gold grades of dev, 0 worst, [pair].
        logits: output i taken for grade i, or the score, [pair, output].
        query_ids: [pair].

    Raises:
        InputError: another order of a grader's outputs surely fits better, and model.label_order is null.
    """
    if params.is_ranker:
        if reversed_queries := _reversed_queries(grades, logits[:, 0], query_ids):
            note(
                f"{params.model.name} scores the worse titles higher in {reversed_queries} of dev, so that masking a "
                "head would seem to help: its scores are upside down, or data.grades are not from worst to best. "
                "Turn the sign of its last layer, or the grades, unless that is what you want to analyse"
            )
        return
    names = params.data.grade_names
    taken = params.model.label_order or names
    fitting = _fitting_order(grades, logits, names)
    if fitting is None:
        return
    order = [names[fitting[names.index(name)]] for name in taken]
    shares = [f"{100 * (logits.argmax(axis=1) == grades).mean():.0f}%"]
    shares.append(f"{100 * (fitting[logits.argmax(axis=1)] == grades).mean():.0f}%")
    text = (
        f"the outputs of {params.model.name}, taken for the grades {taken}, are right on {shares[0]} of dev; taken for "
        f"{order} they would be on {shares[1]}"
    )
    if params.model.label_order is None:
        raise InputError(f"{text}. Set model.label_order to that, or to {taken} where the order is right")
    note(f"{text}: look whether model.label_order is right")


def _fitting_order(grades: np.ndarray, logits: np.ndarray, names: Sequence[str]) -> np.ndarray | None:
    """The grade that each output fits, int64 [output]; None unless these are surely right more often than i for i.

    The test is McNemar's, its p-value times the number of orders that there are.
    """
    held = softmax(logits.astype(np.float64), axis=1)
    mass = np.stack([held[grades == grade].sum(axis=0) for grade in range(len(names))], axis=1)
    fitting = linear_sum_assignment(mass, maximize=True)[1]
    predicted = logits.argmax(axis=1)
    right, would_be = predicted == grades, fitting[predicted] == grades
    gained, lost = int((would_be & ~right).sum()), int((right & ~would_be).sum())
    if gained <= lost:
        return None
    p = binomtest(gained, gained + lost, alternative="greater").pvalue
    is_sure = math.log(max(p, 1e-300)) + math.lgamma(len(names) + 1) < math.log(SURE)
    return fitting if is_sure else None


def _reversed_queries(grades: np.ndarray, scores: np.ndarray, query_ids: np.ndarray) -> str | None:
    """Queries in which more of two titles are in the wrong order than in the right one, where that is surely most."""
    signs = []
    for titles in titles_by_query(query_ids):
        differences = [np.sign(values[titles][:, None] - values[titles]) for values in (grades, scores)]
        signs.append(np.sign((differences[0] * differences[1]).sum()))
    wrong, right = signs.count(-1.0), signs.count(1.0)
    if wrong <= right or binomtest(wrong, wrong + right, alternative="greater").pvalue >= SURE:
        return None
    return f"{wrong} of {wrong + right} queries"
