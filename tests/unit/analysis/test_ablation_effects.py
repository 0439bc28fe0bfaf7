from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.analysis.ablation_effects import (
    ENOUGH_QUERIES,
    HARMFUL,
    NEEDED,
    NO_EFFECT,
    SMALL,
    UNDECIDED,
    Effects,
    compare_ablation_types,
    head_effects,
    importance_rank,
    inert,
    measure_effects,
    predicted_counts,
    unlabelled_effects,
    verdicts,
)
from pipeline.stats.bootstrap import QuerySample, q_values
from pipeline.stats.grading_measures import ACCURACY, CHANGED_PREDICTIONS, KL_DIVERGENCE, LOG_LOSS
from pipeline.stats.measure_sets import GRADER
from pipeline.stats.measures import Changes, EvaluationSet, Measure
from pipeline.stats.ranking_measures import PAIRWISE_LOG_LOSS

MARGIN = 0.02


def one_hot(predicted: list[int], count: int = 3) -> np.ndarray:
    return np.eye(count)[predicted] * 4.0


def evaluated(unmasked: np.ndarray, grades: np.ndarray, query_ids: np.ndarray | None = None) -> EvaluationSet:
    query_ids = np.arange(len(grades)) if query_ids is None else query_ids
    return EvaluationSet(grades, unmasked, QuerySample(query_ids, 200, seed=0))


def test_effects_by_hand():
    grades = np.array([0, 1, 2, 2])
    unmasked = one_hot([0, 1, 2, 0])  # three of four right
    masked = one_hot([0, 2, 0, 2])  # two of four: pairs 1 and 2 lost, pair 3 won
    frame = measure_effects(np.stack([unmasked, masked]), evaluated(unmasked, grades), MARGIN, GRADER).frame
    assert frame.accuracy.tolist() == [0.75, 0.5]
    assert frame[ACCURACY.change].tolist() == pytest.approx([0, -1 / 3])
    assert frame.accuracy_to_constant.tolist() == pytest.approx([0, (-1 / 3) / (0.5 / 0.75 - 1)])
    assert frame.changed_predictions.tolist() == [0, 0.75]
    assert frame.mae_change.tolist() == pytest.approx([0, (1 + 2) / 4 - 2 / 4])
    assert frame.right_to_wrong.tolist() == [0, 2]
    assert frame.wrong_to_right.tolist() == [0, 1]
    assert frame.accuracy_p.tolist() == [1, 1]  # of three signs, none is more extreme than -1


def test_untested_masks_have_no_p_and_do_not_count_in_q():
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 3, 30)
    pairs = evaluated(rng.normal(size=(30, 3)), grades)
    logits, tested = rng.normal(size=(4, 30, 3)), np.array([True, False, True, False])
    frame = measure_effects(logits, pairs, MARGIN, GRADER, tested).frame
    every = measure_effects(logits, pairs, MARGIN, GRADER).frame
    for measure in GRADER.tested:
        assert frame[f"{measure.name}_p"].isna().tolist() == [False, True, False, True]
        assert frame[f"{measure.name}_p"][tested].tolist() == every[f"{measure.name}_p"][tested].tolist()
        assert frame[f"{measure.name}_q"].to_numpy() == pytest.approx(
            q_values(frame[f"{measure.name}_p"].to_numpy()), nan_ok=True
        )
    assert measure_effects(logits, pairs, MARGIN, GRADER, np.zeros(4, dtype=bool)).frame.accuracy_q.isna().all()


def planted(measure: Measure, intervals: list[tuple], q: list[float]) -> Effects:
    """Effects of given intervals of shares of the way: low, high, and the wider least and most."""
    ends = np.array(intervals, dtype=float).T
    nothing = np.zeros(len(intervals))
    changes = Changes(measure, nothing, nothing, nothing, nothing, *ends, nothing[:, None], nothing[:, None], 1.0)
    return Effects(pd.DataFrame({f"{measure.name}_q": q}), {measure.name: changes})


RULES = [  # low, high, least, most as shares of the way, above 0 worse; q; verdict
    ((0.03, 0.09, 0.02, 0.10), 0.01, NEEDED),
    ((0.03, 0.09, 0.02, 0.10), 0.20, UNDECIDED),  # beyond the margin, but perhaps chance
    ((0.01, 0.09, 0.00, 0.10), 0.01, UNDECIDED),  # no chance, but perhaps small
    ((-0.09, -0.03, -0.10, -0.02), 0.01, HARMFUL),
    ((0.005, 0.015, 0.004, 0.019), 0.01, SMALL),
    ((0.005, 0.015, 0.004, 0.021), 0.01, UNDECIDED),  # what was not seen may be larger
    ((-0.01, 0.015, -0.019, 0.019), 0.60, NO_EFFECT),
    ((-0.01, 0.015, -0.021, 0.019), 0.60, UNDECIDED),
    ((np.nan,) * 4, np.nan, UNDECIDED),
]


@pytest.mark.parametrize("measure", [LOG_LOSS, ACCURACY])
def test_verdicts_follow_significance_size_and_direction(measure):
    effects = planted(measure, [ends for ends, _, _ in RULES], [q for _, q, _ in RULES])
    assert verdicts(effects, measure, MARGIN, ENOUGH_QUERIES).tolist() == [verdict for _, _, verdict in RULES]


@pytest.mark.parametrize(("changed", "verdict"), [(19, UNDECIDED), (20, NEEDED)])
def test_a_measure_of_queries_decides_where_enough_of_them_change_as_much_as_matters(changed, verdict):
    measure, sure = PAIRWISE_LOG_LOSS, planted(PAIRWISE_LOG_LOSS, [(0.03, 0.09, 0.02, 0.10)], [0.01])
    worse = np.where(np.arange(60) < changed, 0.03, 0.005)  # nats; the way is one half
    sums = np.stack([np.stack([loss, np.ones(60)], axis=1) for loss in (np.full(60, 0.2), 0.2 + worse)])
    changes = replace(sure.changes[measure.name], sums=sums, way=0.5)
    assert changes.changed_queries(np.array([0.04])).tolist() == [changed]
    effects = Effects(sure.frame, {measure.name: changes})
    assert verdicts(effects, measure, MARGIN, ENOUGH_QUERIES).tolist() == [verdict]


def test_few_queries_never_show_that_an_effect_is_small():
    effects = planted(LOG_LOSS, [ends for ends, _, _ in RULES], [q for _, q, _ in RULES])
    assert set(verdicts(effects, LOG_LOSS, MARGIN, ENOUGH_QUERIES - 1)) == {NEEDED, HARMFUL, UNDECIDED}


def test_no_verdict_where_the_model_is_no_better_than_the_constant_grader():
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 3, 300)
    wrong = evaluated(-4.0 * np.eye(3)[grades], grades)
    frame = head_effects(4.0 * np.eye(3)[grades][None], wrong, GRADER, LOG_LOSS, MARGIN)
    assert frame.verdict.tolist() == [UNDECIDED]
    assert frame.log_loss_q[0] < 0.05


def test_inert_is_small_by_every_measure_without_grades():
    ends = [(0, 0.01, 0, 0.019), (0, 0.01, 0, 0.019), (0, 0.01, 0, 0.021)]
    effects = Effects(
        pd.DataFrame(),
        planted(KL_DIVERGENCE, ends, [1] * 3).changes
        | planted(CHANGED_PREDICTIONS, [ends[0], ends[2], ends[0]], [1] * 3).changes,
    )
    assert inert(effects, GRADER, MARGIN, ENOUGH_QUERIES).tolist() == [True, False, False]
    assert not inert(effects, GRADER, MARGIN, ENOUGH_QUERIES - 1).any()


def graded(pairs: int = 1500) -> EvaluationSet:
    """A model that grades most of the pairs right, surely."""
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 5, pairs)
    shown = np.where(rng.random(pairs) < 0.85, grades, rng.integers(0, 5, pairs))
    return evaluated(3.0 * np.eye(5)[shown] + rng.normal(0, 0.3, (pairs, 5)), grades, np.arange(pairs) // 6)


@pytest.mark.parametrize("primary", [ACCURACY, LOG_LOSS])
def test_heads_by_what_masking_them_does(primary):
    """One that does nothing, one whose grades are noise, one that spoils the grades of a half."""
    pairs, rng = graded(), np.random.default_rng(1)
    idle = pairs.unmasked_logits + rng.normal(0, 0.01, pairs.unmasked_logits.shape)
    spoiled = np.where(np.arange(1500)[:, None] % 2, pairs.unmasked_logits, rng.normal(0, 3, (1500, 5)))
    better = pairs.unmasked_logits + 4.0 * np.eye(5)[pairs.gold] * (np.arange(1500)[:, None] % 3 == 0)
    frame = head_effects(np.stack([idle, spoiled, better]), pairs, GRADER, primary, MARGIN)
    assert frame.right_to_wrong[0] + frame.wrong_to_right[0] == 0
    assert frame.verdict.tolist() == [NO_EFFECT, NEEDED, HARMFUL]
    assert frame.is_inert.tolist() == [True, False, False]
    assert frame["rank"].tolist() == [3, 1, 2]
    assert frame.detectable_to_constant.min() > 0


def test_importance_ranks_by_kl_divergence():
    frame = pd.DataFrame({"kl_divergence": [0.1, 0.5, 0.1, 0.0]})
    assert importance_rank(frame, GRADER).tolist() == [2, 1, 3, 4]


def test_unlabelled_pairs_have_the_measures_that_need_no_grades():
    pairs = graded()
    ungraded = EvaluationSet(None, pairs.unmasked_logits, pairs.sample)
    moved = pairs.unmasked_logits + np.random.default_rng(2).normal(0, [[[0.01]], [[2.0]]], (2, 1500, 5))
    found = unlabelled_effects(moved, ungraded, GRADER, MARGIN)
    assert found.is_inert.tolist() == [True, False]
    assert found.changed_predictions[1] == pytest.approx((moved[1].argmax(-1) != ungraded.predicted).mean())
    assert not [name for name in found if "accuracy" in name or "log_loss" in name]


def test_a_head_that_matters_only_under_zero_is_told():
    pairs, rng = graded(300), np.random.default_rng(3)
    spoiled, same = rng.normal(0, 1, (300, 5)), pairs.unmasked_logits
    logits = {
        "zero": np.stack([spoiled, spoiled]),
        "mean": np.stack([same, spoiled]),
        "resample": np.stack([same, same]),
    }
    found = compare_ablation_types(logits, pairs, GRADER, ACCURACY, MARGIN)
    assert found.zero_ablation_only.tolist() == [True, False]
    lost = (spoiled.argmax(-1) == pairs.gold).mean() / (pairs.predicted == pairs.gold).mean() - 1
    assert found.zero_to_constant.tolist() == pytest.approx([lost / ACCURACY.way(pairs)] * 2)
    assert found.mean_to_constant[0] == 0 < found.mean_kl_divergence[1]


def test_predicted_counts():
    counts = predicted_counts(np.stack([one_hot([0, 0, 2]), one_hot([1, 1, 1])]))
    assert counts.to_numpy().tolist() == [[2, 0, 1], [0, 3, 0]]
