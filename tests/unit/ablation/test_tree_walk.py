"""The walk of a prefix tree: pieces of few sizes, and children by way of their parents' images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ablation import tree_walk
from pipeline.ablation.linear import NormalisedLinear
from pipeline.ablation.prefix_tree import PrefixNode, StateNode, build_prefix_tree
from pipeline.ablation.tree_walk import alike, filled_size, images_pay, pieces
from pipeline.ablation.work_units import Treatments
from pipeline.models.families import FAMILIES
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.reference import assert_close, reference_logits

NONE = np.empty(0, dtype=np.int64)


def nodes(count: int) -> list[tuple[int, StateNode]]:
    return [(number, StateNode(np.array([number]), NONE, [])) for number in range(count)]


@given(count=st.integers(0, 400), most=st.integers(1, 170))
def test_every_node_is_in_one_piece_and_the_rest_stands_for_no_row(count: int, most: int):
    cut = list(pieces(nodes(count), most))
    assert all(len(piece) <= most for piece in cut)
    members = np.concatenate([NONE, *(node.members for piece in cut for _, node in piece)])
    assert members.tolist() == list(range(count))
    spare = sum(len(piece) for piece in cut) - count
    assert spare <= 1 + (count % most) / 2  # a piece is filled by half its size at most


def test_pieces_have_few_sizes():
    sizes = {len(piece) for count in range(1, 1000) for piece in pieces(nodes(count), 170)}
    assert sizes == {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 170}
    assert [filled_size(count) for count in (1, 5, 7, 9, 13, 129)] == [1, 6, 8, 12, 16, 192]


def child(parent: int, heads: int) -> tuple[int, PrefixNode]:
    return parent, PrefixNode(np.arange(heads), np.ones(heads), -np.ones(heads), np.zeros(heads, dtype=bool), [])


def test_images_pay_where_siblings_lose_few_heads():
    """12 heads alone and the unmasked child: 1 + 13 x 0.2 + 12 x 0.11 = 4.92 of 13 products; one child: 1.31 of 1."""
    assert images_pay([child(0, 0), *[child(0, 1)] * 12])
    assert not images_pay([child(0, 1)])
    assert not images_pay([child(0, 7), child(0, 7), child(0, 7)])
    assert not images_pay([])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch_tokens", [20, 60, 5000])
def test_children_by_way_of_images_equal_the_frameworks_forward(family, batch_tokens, monkeypatch):
    """Every head alone, taken away whole and by half, some of them with one of a later layer."""
    calls = []
    finish = NormalisedLinear.finish

    def counted(self, image, scale):
        calls.append(image.shape)
        return finish(self, image, scale)

    monkeypatch.setattr(NormalisedLinear, "finish", counted)
    model, pairs = random_classifier(family, layers=3, seed=5), random_pairs([9, 9, 14], 5)
    masks = np.ones((20, 3, 3))
    masks[:18].reshape(2, 9, 9)[:, np.arange(9), np.arange(9)] = np.array([[0.0], [0.5]])
    masks[18, 0, 0] = masks[18, 2, 1] = masks[19, 0, 0] = masks[19, 1, 2] = 0
    found = ablation_engine(model, batch_tokens).evaluate(pairs, masks).masked_logits
    assert calls
    for mask, logits in zip(masks, found, strict=True):
        assert_close(logits, reference_logits(model, pairs, mask))


def test_a_parent_is_expanded_once_for_all_pieces_of_its_children(monkeypatch):
    """One pair, a root with 13 children in pieces of 2: one image of the root, and none twice."""
    model, pairs = random_classifier("bert", layers=1, seed=1), random_pairs([10], 1)
    masks = np.ones((3, 1, 3))
    masks.reshape(3, 3)[np.diag_indices(3)] = 0
    engine = ablation_engine(model, 20)
    expansion, expanded = engine.encoder.layers[0].feed_forward.expansion, []
    image = expansion.image
    monkeypatch.setattr(expansion, "image", lambda x: expanded.append(len(x)) or image(x))
    engine.evaluate(pairs, masks)
    assert expanded == [1]


def test_a_spare_node_keeps_the_treatment():
    masks = np.ones((3, 1, 3))
    masks.reshape(3, 3)[np.diag_indices(3)] = 0
    (*_, last) = build_prefix_tree(Treatments.of_masks(masks)).children
    spare = last.spare()
    assert spare.heads.tolist() == last.heads.tolist()
    assert [state.members.tolist() for state in spare.states] == [[]]
    assert tree_walk.images_pay([(0, spare)] * 3) == tree_walk.images_pay([(0, last)] * 3)


def test_children_that_lose_the_same_heads_share_a_product():
    """Three sets of seven children: a product each. Five of seven: one for those of one head, one for those of two."""
    few = [np.array(heads) for heads in ([1], [0, 2], [1], [], [0, 2], [1], [3])]
    assert [(numbers.tolist(), heads.tolist()) for numbers, heads in alike(few)] == [
        ([0, 2, 5], [1]),
        ([1, 4], [0, 2]),
        ([6], [3]),
    ]
    many = [np.array(heads) for heads in ([1], [0, 2], [2], [], [0, 3], [1], [3])]
    assert [(numbers.tolist(), heads.tolist()) for numbers, heads in alike(many)] == [
        ([0, 2, 5, 6], [[1], [2], [1], [3]]),
        ([1, 4], [[0, 2], [0, 3]]),
    ]
    assert list(alike([np.array([], dtype=np.int64)])) == []
