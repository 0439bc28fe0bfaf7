import numpy as np
import pandas as pd
import pytest

from pipeline.ablation.head_groups import Group
from pipeline.analysis.random_controls import ControlDesign, compare_with_random, contrasts
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.grading_measures import ACCURACY, LOG_LOSS
from pipeline.stats.measures import EvaluationSet, measure_changes, point_changes

OWN = Group("function", "term_match", ((0, 0), (1, 1)))
MATCHED = [Group("layer_matched", "term_match", ((0, draw), (1, 1)), draw) for draw in (1, 2, 3)]
FREE = [Group("random_k", "random", ((2, 0), (2, 1)), 0)]
OTHER = Group("function", "segmentation", ((0, 0),))
GROUPS = [OWN, *MATCHED, *FREE, OTHER]
SHARES = [0.4, 0.7, 0.3, 0.8, 0.6, 0.8]


def accuracies(shares: list[float], pairs: int = 100) -> np.ndarray:
    """Logits [mask, pair, grade] that grade these shares of the pairs right; of four pairs one is of grade 1."""
    grades = (np.arange(pairs) % 4 == 0).astype(int)
    right = np.arange(pairs) < np.round(np.array(shares) * pairs)[:, None]
    return 4.0 * np.eye(2)[np.where(right, grades, 1 - grades)]


def evaluated(pairs: int = 100, accuracy: float = 0.8) -> EvaluationSet:
    sample = QuerySample(np.arange(pairs) // 2, 300, seed=0)
    return EvaluationSet((np.arange(pairs) % 4 == 0).astype(int), accuracies([accuracy], pairs)[0], sample)


def compared(strongest: dict, slices: pd.DataFrame | None = None, heads: int = 4) -> pd.DataFrame:
    design = ControlDesign(GROUPS, ["term_match"], strongest, heads)
    slices = pd.DataFrame(index=range(100)) if slices is None else slices
    return compare_with_random(design, accuracies(SHARES), evaluated(), slices, [ACCURACY, LOG_LOSS])


def test_a_group_beside_its_controls_by_hand():
    found = compared({"term_match": [(0, 0)], "segmentation": []})
    assert len(found) == 2 * 3  # measures; layer-matched, those without others' strongest heads, unrestricted
    matched, spared, free = (found[found.measure == "accuracy"].iloc[row] for row in range(3))
    assert (matched.null_type, matched.slice, matched.value, matched.random_groups) == (
        "layer_matched",
        "all",
        "all",
        3,
    )
    assert matched.change == pytest.approx(0.4 / 0.8 - 1)
    assert matched.to_constant == pytest.approx((0.4 - 0.8) / (0.75 - 0.8))
    assert (matched["median"], matched.lowest, matched.highest) == pytest.approx((0.7 / 0.8 - 1, 0.3 / 0.8 - 1, 0.0))
    assert (matched.percentile, matched.p, matched.overlap) == pytest.approx((1 / 3, 2 / 4, 1 / 2))
    assert not matched.exhaustive
    assert (free.null_type, free.random_groups, free.p, free.overlap) == ("unrestricted", 1, 0.5, 0.0)
    assert (spared.without_strongest, spared.random_groups) == (True, 3)


def test_a_measure_of_which_more_is_worse_ranks_the_same_way():
    found = compared({"term_match": [], "segmentation": []})
    columns = ["null_type", "random_groups", "percentile", "p", "overlap"]
    pd.testing.assert_frame_equal(
        found.loc[found.measure == "accuracy", columns].reset_index(drop=True),
        found.loc[found.measure == "log_loss", columns].reset_index(drop=True),
    )


def test_random_groups_that_hold_another_functions_strongest_head_are_left_out():
    """(0, 2) is segmentation's: its group does not count. (1, 1) is too, but the group holds it itself."""
    found = compared({"term_match": [(0, 3)], "segmentation": [(0, 2), (1, 1)]})
    spared = found[(found.measure == "accuracy") & found.without_strongest].iloc[0]
    assert (spared.random_groups, spared.lowest) == (2, pytest.approx(0.7 / 0.8 - 1))
    assert spared.p == 1 / 3


def test_all_possible_groups_are_exhaustive():
    every = [
        OWN,
        Group("layer_matched", "term_match", ((0, 1), (1, 1))),
        Group("layer_matched", "term_match", ((0, 0), (1, 0))),
    ]
    every.append(Group("layer_matched", "term_match", ((0, 1), (1, 0))))
    design = ControlDesign(every, ["term_match"], {}, 2)
    slices = pd.DataFrame(index=range(100))
    found = compare_with_random(design, accuracies(SHARES[:4]), evaluated(), slices, [ACCURACY])
    assert found[~found.without_strongest].exhaustive.all()


def test_slices_are_compared_on_their_own_pairs():
    slices = pd.DataFrame({"kind": ["x"] * 40 + ["y"] * 60})
    found = compared({"term_match": [], "segmentation": []}, slices)
    row = found[(found.measure == "accuracy") & (found.value == "y")].iloc[0]
    assert (row.slice, row.null_type, row.without_strongest) == ("kind", "layer_matched", True)
    # Of the last 60 pairs 40 are right unmasked, none with the group masked, and 30, 0 and 40 with random ones.
    assert (row.change, row["median"], row.p) == pytest.approx((-1.0, 30 / 40 - 1, 2 / 4))


def of_measures(shares: list[float]) -> dict:
    return {measure.name: measure_changes(measure, accuracies(shares), evaluated()) for measure in (ACCURACY, LOG_LOSS)}


def test_averages_and_differences_with_intervals():
    groups = [
        *(Group("random_share", "0.1", ((0, 0),), draw) for draw in range(3)),
        *(Group("random_k", "random", ((0, 0),), draw) for draw in range(3)),
        Group("half", "lower", ((0, 0),)),
        Group("half", "upper", ((1, 0),)),
    ]
    changes = of_measures([0.7, 0.6, 0.8, 0.7, 0.1, 0.8, 0.2, 0.6])
    ways = {name: one.measure.way(evaluated()) for name, one in changes.items()}
    found = contrasts(groups, changes, ways, evaluated().sample).set_index(["measure", "name"]).loc["accuracy"]
    share, apart = found.loc["random_share 0.1"], found.loc["lower_minus_upper"]
    assert (share.random_groups, share.change) == (3, pytest.approx(-0.125))
    assert share.to_constant == pytest.approx(-0.125 / ways["accuracy"])
    assert share.change_low < -0.2 < share.change_high
    assert found.loc["random_k random", "change"] == pytest.approx(0.7 / 0.8 - 1)  # the median
    assert apart.change == pytest.approx(-0.5)
    assert -0.65 < apart.change_low < apart.change < apart.change_high < -0.3
    assert "lower_except_term_match_minus_lower" not in found.index


def test_an_average_of_one_group_has_no_interval():
    groups = [Group("random_share", "0.1", ((0, 0),), 0)]
    found = contrasts(groups, of_measures([0.7]), {"accuracy": 1.0, "log_loss": 1.0}, evaluated().sample)
    assert found[["change_low", "change_high"]].isna().all(axis=None)
    assert found.change.tolist() == pytest.approx(
        [point_changes(measure, accuracies([0.7]), evaluated())[0] for measure in (ACCURACY, LOG_LOSS)]
    )
