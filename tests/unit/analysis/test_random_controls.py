import numpy as np
import pandas as pd
import pytest

from pipeline.ablation.head_groups import Group
from pipeline.analysis.ablation_effects import (
    CHANGE,
    NEEDED,
    NOTHING,
    EvaluationSet,
    ablation_type_agreement,
    compare_ablation_types,
    effects_and_resamples,
)
from pipeline.analysis.random_controls import compare_with_random, contrasts
from pipeline.analysis.subgroups import subgroup_effects, subgroups
from pipeline.stats.bootstrap import QuerySample

OWN = Group("function", "term_match", ((0, 0), (1, 1)))
MATCHED = [Group("layer_matched", "term_match", ((0, draw), (1, 1)), draw) for draw in (1, 2, 3)]
FREE = [Group("random_k", "random", ((2, 0), (2, 1)), 0)]


def accuracies(shares: list[float], pairs: int = 100) -> np.ndarray:
    """Logits [intervention, pair, grade] that grade these shares of the pairs right, all of grade 0."""
    right = np.arange(pairs) < np.round(np.array(shares) * pairs)[:, None]
    return np.where(right[..., None], [4.0, 0.0], [0.0, 4.0])


def evaluated(pairs: int = 100, accuracy: float = 0.8) -> EvaluationSet:
    sample = QuerySample(np.arange(pairs) // 2, 300, seed=0)
    return EvaluationSet(np.zeros(pairs, dtype=int), accuracies([accuracy], pairs)[0], sample)


def test_a_group_beside_its_controls_by_hand():
    groups = [OWN, *MATCHED, *FREE, Group("function", "segmentation", ((0, 0),))]
    found = compare_with_random(groups, pd.Series([-0.4, -0.1, -0.5, 0.0, -0.2, 0.0]), ["term_match"], heads=4)
    matched, free = (found.iloc[row] for row in range(2))
    assert len(found) == 2
    assert (matched.null_type, matched.random_groups, matched["median"], matched.lowest) == (
        "layer_matched",
        3,
        -0.1,
        -0.5,
    )
    assert (matched.percentile, matched.p, matched.overlap) == pytest.approx((1 / 3, 2 / 4, 1 / 2))
    assert not matched.exhaustive
    assert (free.null_type, free.p, free.overlap) == ("unrestricted", 0.5, 0.0)


def test_averages_and_differences_with_intervals():
    groups = [
        *(Group("random_share", "0.1", ((0, 0),), draw) for draw in range(3)),
        Group("half", "lower", ((0, 0),)),
        Group("half", "upper", ((1, 0),)),
    ]
    table, drawn = effects_and_resamples(accuracies([0.7, 0.6, 0.8, 0.2, 0.6]), evaluated())
    found = contrasts(groups, table[CHANGE].to_numpy(), drawn, evaluated().sample).set_index("name")
    share, apart = found.loc["random_share 0.1"], found.loc["lower_minus_upper"]
    assert (share.random_groups, share[CHANGE]) == (3, pytest.approx(-0.125))
    assert share[f"{CHANGE}_low"] < -0.2 < share[f"{CHANGE}_high"] <= 0
    assert apart[CHANGE] == pytest.approx(-0.5)
    assert -0.65 < apart[f"{CHANGE}_low"] < apart[CHANGE] < apart[f"{CHANGE}_high"] < -0.3
    assert "lower_except_term_match_minus_lower" not in found.index


def test_a_head_that_matters_only_under_zero_is_told():
    logits = {"zero": accuracies([0.4, 0.4]), "mean": accuracies([0.8, 0.4]), "resample": accuracies([0.8, 0.8])}
    found = compare_ablation_types(logits, evaluated())
    assert found.zero_ablation_only.tolist() == [True, False]
    assert found.zero_change.tolist() == pytest.approx([-0.5, -0.5])
    assert found.mean_change.tolist() == pytest.approx([0, -0.5])


def test_agreement_is_a_rank_correlation():
    changes = {"zero": [1, 2, 3], "mean": [2, 4, 9], "resample": [0, 0, 0]}
    heads = pd.DataFrame({f"{name}_logit_margin_change": values for name, values in changes.items()})
    found = ablation_type_agreement(heads)
    assert found["mean"] == pytest.approx(1)
    assert np.isnan(found["resample"])


def test_slices_by_columns_terciles_and_grade():
    table = pd.DataFrame(
        {
            "query": ["red shoe", "red hat box", "a", "blue bag"],
            "title": ["red shoe", "hat", "b", "bag of blue"],
            "grade": [1, 0, 0, 1],
            "kind": ["x", "y", "", "x"],
            "same": ["z"] * 4,
        }
    )
    parts = subgroups(table, ["kind", "same"], ["bad", "good"])
    assert parts.kind.tolist() == ["x", "y", "", "x"]
    assert parts.grade.tolist() == ["good", "bad", "bad", "good"]
    assert parts.query_length.tolist() == ["low", "middle", "low", "low"]
    assert parts.term_overlap.tolist() == ["middle", "low", "low", "middle"]
    assert "same" not in parts


def test_effects_on_slices_are_those_of_the_pairs_in_them():
    parts = pd.DataFrame({"kind": ["x"] * 50 + ["y"] * 49 + ["alone"]})
    found = subgroup_effects(
        [Group("layer", "3", ()), Group("user", "mine", ())], accuracies([0.8, 0.4]), evaluated(), parts
    ).set_index("value")
    assert found.loc["x", [CHANGE, "pairs", "queries"]].tolist() == [pytest.approx(-0.2), 50, 25]
    assert found.loc["y", CHANGE] == -1
    assert "alone" not in found.index  # a single query has no interval
    assert {NEEDED, NOTHING} & set(found.columns) == set()
