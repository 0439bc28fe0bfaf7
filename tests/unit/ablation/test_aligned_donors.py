import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ablation.aligned_donors import AlignedDonors, AlignedResampleAblation, draw_aligned_donors
from pipeline.ablation.patching import CLS, SEP, ResampleAblation, draw_donors, replacement_logits, token_classes
from pipeline.models.tokenization import QUERY, TITLE, EncodedPairs
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.reference import reference_contexts, reference_replaced

LAYERS, HEADS = 3, 3
MASKS = np.random.default_rng(0).choice([0.0, 0.5, 1.0], (3, LAYERS, HEADS))


def positions(pairs: EncodedPairs, donors: AlignedDonors, pair: int) -> list[int]:
    return donors.positions[pairs.tokens(pair)].tolist()


@given(seed=st.integers(0, 300), lengths=st.lists(st.integers(4, 30), min_size=2, max_size=12))
@settings(max_examples=40, deadline=None)
def test_every_pair_has_another_one_as_donor_class_by_class(seed, lengths):
    pairs = random_pairs(lengths, seed)
    donors, same_layout = draw_aligned_donors(pairs, seed), draw_donors(pairs, seed)
    classes = token_classes(pairs)
    by_pair = [classes[pairs.tokens(pair)] for pair in range(len(pairs))]
    for pair, donor in enumerate(donors.pairs):
        assert donor != pair
        taken = np.array(positions(pairs, donors, pair))
        if same_layout[pair] >= 0:
            assert donor == same_layout[pair]
            np.testing.assert_array_equal(taken, np.arange(lengths[pair]))
            continue
        others = np.delete(np.array(lengths), pair)
        assert abs(lengths[donor] - lengths[pair]) == np.abs(others - lengths[pair]).min()
        for kind in (QUERY, TITLE, CLS, SEP):
            given_by = taken[by_pair[pair] == kind]
            if kind in by_pair[donor]:
                assert set(by_pair[donor][given_by]) <= {kind}
                assert (np.diff(given_by) >= 0).all()
            else:
                assert set(given_by) <= {lengths[donor] - 1}


def test_positions_worked_by_hand():
    queries, titles = (1, 3), (4, 2)
    segment = np.concatenate([[-1, *[QUERY] * q, -1, *[TITLE] * t, -1] for q, t in zip(queries, titles, strict=True)])
    like = random_pairs([8, 8])
    pairs = EncodedPairs(like.ids, like.types, segment.astype(np.int8), like.offsets, like.starts, like.truncated)
    donors = draw_aligned_donors(pairs, 0)
    np.testing.assert_array_equal(donors.pairs, [1, 0])
    # [CLS] q [SEP] t t t t [SEP] takes from [CLS] q q q [SEP] t t [SEP]: title tokens 0, 1/3, 2/3 and 1 of the way.
    assert positions(pairs, donors, 0) == [0, 1, 4, 5, 5, 6, 6, 7]
    assert positions(pairs, donors, 1) == [0, 1, 1, 1, 2, 3, 6, 7]


@pytest.mark.parametrize("config", [{}, {"family": "modernbert", "classifier_pooling": "mean"}], ids=str)
def test_outputs_are_the_donors_at_the_aligned_positions(config):
    model = random_classifier(**({"family": "bert", "layers": LAYERS, "heads": HEADS} | config))
    pairs, keep = random_pairs([8, 8, 13, 9, 20, 8], seed=4), np.ones((LAYERS, HEADS))
    donors = draw_aligned_donors(pairs, seed=0)
    engine = ablation_engine(model, 100)
    found = engine.evaluate(pairs, MASKS, replacement=AlignedResampleAblation.among(pairs, donors)).masked_logits
    for pair, donor in enumerate(donors.pairs):
        values = reference_contexts(model, pairs, int(donor), keep)[:, positions(pairs, donors, pair)]
        for mask, logits in zip(MASKS, found, strict=True):
            np.testing.assert_allclose(logits[pair], reference_replaced(model, pairs, pair, mask, values), atol=1e-5)


def test_among_pairs_of_one_layout_both_kinds_of_donor_are_the_same():
    model, pairs = random_classifier("bert", LAYERS, HEADS), random_pairs([4] * 5)
    engine = ablation_engine(model, 100)
    resamples = (
        ResampleAblation(pairs.take(draw_donors(pairs, 1))),
        AlignedResampleAblation.among(pairs, draw_aligned_donors(pairs, 1)),
    )
    same, aligned = (replacement_logits(engine, pairs, pairs, MASKS, resample) for resample in resamples)
    for name in ("mean", "resample"):
        np.testing.assert_allclose(same[name], aligned[name], atol=1e-6)
