"""The cut of a sweep into units: every mask on every pair once, whatever the cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ablation.aligned_donors import AlignedResampleAblation, draw_aligned_donors
from pipeline.ablation.cls_attention import ClsAttention
from pipeline.ablation.patching import ActivationPatch, mean_head_outputs
from pipeline.ablation.prefix_tree import build_prefix_tree
from pipeline.ablation.work_units import Sweep, Treatments
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.reference import reference_logits

LAYERS, HEADS = 3, 3
UNMASKED = np.ones((1, LAYERS, HEADS), dtype=np.float32)


def random_masks(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([0.0, 1.0], (count, LAYERS, HEADS)).astype(np.float32)


@given(
    lengths=st.lists(st.integers(4, 9), min_size=1, max_size=20),
    masks=st.integers(1, 30),
    chunk_tokens=st.integers(1, 40),
    interventions=st.integers(1, 40),
    share_observed=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_every_mask_meets_every_pair_once(lengths, masks, chunk_tokens, interventions, share_observed):
    encoded = random_pairs(lengths)
    observed = np.random.default_rng(1).random(masks) < share_observed
    sweep = Sweep(encoded, Treatments.of_masks(random_masks(masks, 0)), None, ClsAttention([0], 9), observed)
    met = np.zeros((masks, len(lengths)), dtype=int)
    places = sweep.places(chunk_tokens, interventions)
    for first, second in pairwise(places):
        if first.rows is second.rows:
            assert encoded.lengths[first.pairs].sum() >= encoded.lengths[second.pairs].sum()
    for place in places:
        unit = sweep.unit(place)
        assert len(set(unit.encoded.lengths)) == 1
        assert len(unit.encoded) == 1 or unit.encoded.lengths.sum() <= chunk_tokens
        assert 1 <= len(unit.treatments) <= interventions
        assert set(observed[place.rows]) == {unit.observer is not None}
        met[np.ix_(place.rows, place.pairs)] += 1
    assert (met == 1).all()


@given(
    lengths=st.lists(st.integers(4, 9), min_size=1, max_size=20),
    chunk_tokens=st.integers(1, 40),
    interventions=st.integers(1, 40),
    share_called=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_every_call_is_in_one_unit_and_no_unit_holds_pairs_without(lengths, chunk_tokens, interventions, share_called):
    encoded, masks = random_pairs(lengths), random_masks(30, 0)
    calls = np.random.default_rng(1).random((len(masks), len(lengths))) < share_called
    sweep = Sweep(encoded, Treatments.of_masks(masks), calls=calls)
    met = np.zeros(calls.shape, dtype=int)
    for place in sweep.places(chunk_tokens, interventions):
        unit = sweep.unit(place)
        assert len(set(unit.encoded.lengths)) == 1
        assert len(unit.encoded) == 1 or unit.encoded.lengths.sum() <= chunk_tokens
        assert unit.calls.any(axis=0).all()
        met[np.ix_(place.rows, place.pairs)] += unit.calls
    np.testing.assert_array_equal(met, calls)


def test_runs_follow_the_prefix_tree():
    """Neighbours share as many first layers as the leaves of the whole tree do."""
    rows = Treatments.of_masks(np.concatenate([UNMASKED, random_masks(40, 1)]))

    def leaves(node) -> list[int]:
        states = [state for child in node.children for state in child.states]
        return [leaf for state in states for leaf in leaves(state)] if states else node.members.tolist()

    assert rows.prefix_order().tolist() == leaves(build_prefix_tree(rows))


def test_equal_treatments_share_a_tree():
    masks = random_masks(9, 2)
    trees = [build_prefix_tree(Treatments.of_masks(of)) for of in (masks, masks.copy(), masks[::-1].copy())]
    assert trees[0] is trees[1]
    assert trees[0] is not trees[2]


@pytest.mark.parametrize("interventions", [1, 4, 7])
def test_units_of_few_interventions_give_the_frameworks_logits(interventions):
    model, pairs, masks = random_classifier("bert", LAYERS, HEADS), random_pairs([9, 5, 9, 14]), random_masks(10, 3)
    engine = ablation_engine(model, 80, unit_interventions=interventions)
    found = engine.evaluate(pairs, masks)
    for mask, logits in zip([UNMASKED[0], *masks], found.logits, strict=True):
        np.testing.assert_allclose(logits, reference_logits(model, pairs, mask), atol=1e-5)


def test_replacements_are_those_of_the_units_own_pairs():
    """With one pair a unit, each replacement gives what it does with all pairs of a length in one."""
    model, pairs, masks = random_classifier("bert", LAYERS, HEADS), random_pairs([9, 5, 9, 9, 14]), random_masks(6, 4)
    whole, parted = ablation_engine(model, 10_000), ablation_engine(model, 4, unit_interventions=2)
    replacements = (
        mean_head_outputs(whole.encoder, pairs, 1000),
        AlignedResampleAblation.among(pairs, draw_aligned_donors(pairs, 0)),
        ActivationPatch(random_masks(1, 5)),
    )
    for replacement in replacements:
        expected, found = (engine.evaluate(pairs, masks, replacement=replacement) for engine in (whole, parted))
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
        assert np.abs(expected.logits - whole.evaluate(pairs, masks).logits).max() > 1e-3
