import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ablation import head_groups
from pipeline.core.errors import InputError
from pipeline.core.heads import every_head


def labels(bounds: dict[str, list[list[float]]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (layer, head, function, low)
            for function, table in bounds.items()
            for layer, row in enumerate(table)
            for head, low in enumerate(row)
        ],
        columns=["layer", "head", "function", "written_difference_low"],
    )


def test_masks_are_zero_at_the_members_alone():
    mask = head_groups.group_masks([head_groups.Group("user", "mine", ((0, 2), (1, 0)))], 2, 3)
    assert mask.tolist() == [[[1, 1, 0], [0, 1, 1]]]


def test_single_heads_mask_every_head_once():
    mask = head_groups.group_masks(head_groups.single_head_groups(3, 4), 3, 4)
    assert mask.shape == (12, 3, 4)
    assert (mask == 0).sum(axis=0).tolist() == np.ones((3, 4)).tolist()
    assert (mask == 0).sum(axis=(1, 2)).tolist() == [1] * 12


@given(layers=st.integers(1, 6), heads=st.integers(1, 6), seed=st.integers(0, 99), share=st.floats(0.01, 0.99))
def test_random_shares_have_their_size_and_no_head_twice(layers, heads, seed, share):
    drawn = head_groups.random_share_groups(layers, heads, {share: 3}, seed)
    assert drawn == head_groups.random_share_groups(layers, heads, {share: 3}, seed)
    for group in drawn:
        assert len(set(group.heads)) == len(group.heads) == max(1, round(share * layers * heads))
        assert set(group.heads) <= set(every_head(layers, heads))


def test_random_draws_are_uniform_over_heads():
    drawn = head_groups.random_k_groups(2, 5, 3, 4000, seed=0)
    counts = (head_groups.group_masks(drawn, 2, 5) == 0).sum(axis=0)
    assert np.abs(counts / 4000 - 0.3).max() < 0.03  # four standard errors


def test_layers_and_halves_cover_every_head_once():
    layers = head_groups.layer_groups(5, 2)
    assert sorted(head for group in layers for head in group.heads) == every_head(5, 2)
    lower, upper = head_groups.half_groups(5, 2)
    assert {layer for layer, _ in lower.heads} == {0, 1}
    assert {layer for layer, _ in upper.heads} == {2, 3, 4}


def test_functional_groups_take_the_surest_low_heads():
    nothing, high = [0, 0], [0.99, 0.99]  # in the upper half
    table = labels(
        {
            "term_match": [[0.9, 0.1], [0.5, 0.2], high, high],
            "previous_term": [[0, 0.8], nothing, high, high],
            "next_term": [nothing, [0.7, 0], high, high],
        }
    )
    found = {group.group: group.heads for group in head_groups.function_groups(table, 2)}
    assert found["term_match"] == ((0, 0), (1, 0))
    assert found["word_order"] == ((0, 1), (1, 0))
    assert "segmentation" not in found


def test_a_function_bounded_nowhere_has_no_group():
    table = labels({"segmentation": [[np.nan, np.nan]], "term_match": [[0.2, np.nan]]})
    found = head_groups.function_groups(table, 2)
    assert [(group.group, group.heads) for group in found] == [("term_match", ((0, 0),))]


def test_the_best_one_two_three_of_a_function_grow_from_each_other():
    found = head_groups.top_k_groups(labels({"term_match": [[0.9, 0.1], [0.5, 0.2]]}), 3)
    assert [group.heads for group in found] == [((0, 0),), ((0, 0), (1, 0)), ((0, 0), (1, 0), (1, 1))]
    assert [(group.k, group.replicate) for group in found] == [(1, 0), (2, 0), (3, 0)]


def test_one_layer_has_no_halves():
    own = head_groups.Group("function", "term_match", ((0, 1),))
    assert head_groups.half_groups(1, 4) == head_groups.lower_except_groups([own], 1, 4) == []
    lower, upper = head_groups.half_groups(3, 2)
    assert (lower.heads, len(upper.heads)) == (((0, 0), (0, 1)), 4)
    assert [group.heads for group in head_groups.lower_except_groups([own], 3, 2)] == [((0, 0),)]


@given(seed=st.integers(0, 50), layers=st.sets(st.integers(0, 5), min_size=1, max_size=3), each=st.integers(1, 3))
def test_layer_matched_groups_have_as_many_heads_in_each_layer(seed, layers, each):
    own = head_groups.Group(
        "function", "term_match", tuple((layer, head) for layer in sorted(layers) for head in range(each))
    )
    drawn = head_groups.layer_matched_groups(own, 12, 20, seed)
    per_layer = (head_groups.group_masks([own], 6, 12) == 0).sum(axis=2)
    assert ((head_groups.group_masks(drawn, 6, 12) == 0).sum(axis=2) == per_layer).all()
    assert len({group.heads for group in drawn} | {own.heads}) == len(drawn) + 1
    assert len(drawn) == (20 if (len(layers), each) != (1, 1) else 11)
    assert drawn == head_groups.layer_matched_groups(own, 12, 20, seed)


def test_layer_matched_groups_are_uniform_over_a_layers_heads():
    own = head_groups.Group("function", "term_match", ((1, 0), (1, 1)))
    counts = sum(
        (head_groups.group_masks(head_groups.layer_matched_groups(own, 30, 100, seed), 2, 30) == 0).sum(axis=0)
        for seed in range(40)
    )
    assert counts[0].sum() == 0
    assert counts[1][2:] == pytest.approx(np.full(28, 4000 * 2 / 30), rel=0.25)


def test_where_fewer_exist_all_of_them_are_taken():
    own = head_groups.Group("function", "term_match", ((0, 0), (1, 2)))
    drawn = head_groups.layer_matched_groups(own, 3, 30, seed=0)
    assert len(drawn) == 3 * 3 - 1
    assert own.heads not in {group.heads for group in drawn}


def test_removal_goes_up_and_down_the_order_of_importance():
    importance = pd.DataFrame(
        {"layer": [0, 0, 1, 1], "head": [0, 1, 0, 1], "gradient_importance": [0.3, 0.1, 0.4, 0.2]}
    )
    found = head_groups.removal_orders(importance, [0.25, 0.5])
    assert [group.heads for group in found] == [((0, 1),), ((0, 1), (1, 1)), ((1, 0),), ((0, 0), (1, 0))]


def test_a_head_alone_is_its_layers_only_one_and_the_other_layers_stay_whole():
    mask = head_groups.group_masks(head_groups.kept_heads(3, 4), 3, 4)
    assert (mask == 0).sum(axis=(1, 2)).tolist() == [3] * 12
    assert mask[5].tolist() == [[1] * 4, [0, 1, 0, 0], [1] * 4]


def test_lower_except_spares_the_function():
    group = head_groups.Group("function", "term_match", ((0, 1), (3, 0)))
    (spared,) = head_groups.lower_except_groups([group], 4, 2)
    assert spared.heads == ((0, 0), (1, 0), (1, 1))


def test_frame_lists_members():
    row = head_groups.group_frame([head_groups.Group("user", "mine", ((2, 9), (3, 4)), replicate=1)]).iloc[0]
    assert (row.members, row.heads_masked, row.replicate) == ("2.9 3.4", 2, 1)


@pytest.mark.parametrize(
    ("members", "message"),
    [([[6, 0]], r"groups.mine: \[6, 0\].*layers are 0 to 5"), ([], "is empty"), ([[1, 2], [1, 2]], "twice")],
)
def test_a_wrong_group_of_the_users_is_named(members, message):
    with pytest.raises(InputError, match=message):
        head_groups.user_groups({"mine": members}, 6, 12)


@pytest.mark.parametrize("name", ["", " ", "term_match"])
def test_a_name_that_tables_could_not_tell_apart_is_refused(name):
    with pytest.raises(InputError, match=r"is blank or one of term_match, segmentation.*choose another"):
        head_groups.user_groups({name: [[0, 0]]}, 6, 12)
