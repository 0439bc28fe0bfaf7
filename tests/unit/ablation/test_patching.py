import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ablation.patching import (
    CLS,
    SEP,
    ActivationPatch,
    ResampleAblation,
    draw_donors,
    mean_head_outputs,
    token_classes,
)
from pipeline.models.tokenization import QUERY, TITLE
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.reference import at_positions, reference_contexts, reference_replaced

LAYERS, HEADS = 3, 3
TOLERANCE = 1e-5
KEEP = np.ones((LAYERS, HEADS))


def random_masks(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([0.0, 0.5, 1.0], (count, LAYERS, HEADS))


@pytest.fixture(scope="module")
def model():
    return random_classifier("bert", layers=LAYERS, heads=HEADS)


@given(seed=st.integers(0, 100), batch_tokens=st.sampled_from([1, 90, 4000]))
@settings(max_examples=10, deadline=None)
def test_patch_equals_a_hook_that_writes_the_other_states_outputs(model, seed, batch_tokens):
    pairs, masks = random_pairs([7, 11, 7, 7], seed), random_masks(3, seed)
    states = np.stack([KEEP, random_masks(1, seed + 1)[0]])
    rng = np.random.default_rng(seed)
    sources, cls_only = rng.integers(-1, 2, masks.shape), rng.random(masks.shape) < 0.3
    found = ablation_engine(model, batch_tokens).evaluate(
        pairs, masks, sources, ActivationPatch(states.astype(np.float32)), cls_only=cls_only
    )
    for pair in range(len(pairs)):
        values = np.stack([reference_contexts(model, pairs, pair, state) for state in states])
        values = np.concatenate([values, np.zeros_like(values[:1])])  # source -1: nothing
        for mask, source, only, logits in zip(masks, sources, cls_only, found.masked_logits, strict=True):
            chosen = np.empty_like(values[0])
            for layer in range(LAYERS):
                for head in range(HEADS):
                    chosen[layer, :, head] = values[source[layer, head], layer, :, head]
            given_away = at_positions(mask, only, values.shape[2])
            expected = reference_replaced(model, pairs, pair, given_away, chosen)
            np.testing.assert_allclose(logits[pair], expected, atol=TOLERANCE)


def test_patching_a_state_into_itself_changes_nothing(model):
    pairs, masks = random_pairs([9, 6, 9]), random_masks(1, 3)
    everywhere = np.zeros((1, LAYERS, HEADS))
    engine = ablation_engine(model, 500)
    patched = engine.evaluate(pairs, everywhere, replacement=ActivationPatch(masks.astype(np.float32))).masked_logits
    # The contexts are those before that state's own masking, so they are masked again to get the state back.
    unmasked = engine.evaluate(pairs, np.ones_like(everywhere)).masked_logits
    clean = engine.evaluate(
        pairs, everywhere, replacement=ActivationPatch(np.ones((1, LAYERS, HEADS), np.float32))
    ).masked_logits
    np.testing.assert_allclose(clean, unmasked, atol=TOLERANCE)
    assert np.abs(patched - unmasked).max() > 1e-3


def test_resample_takes_the_donors_clean_output(model):
    pairs = random_pairs([8] * 12, seed=4)
    donors = draw_donors(pairs, seed=0)
    known = np.flatnonzero(donors >= 0)
    assert len(known)
    masks = random_masks(2, 7)
    safe = np.where(donors >= 0, donors, np.arange(len(pairs)))
    found = (
        ablation_engine(model, 300).evaluate(pairs, masks, replacement=ResampleAblation(pairs.take(safe))).masked_logits
    )
    for pair in known:
        values = reference_contexts(model, pairs, int(donors[pair]), KEEP)
        for mask, logits in zip(masks, found, strict=True):
            np.testing.assert_allclose(
                logits[pair], reference_replaced(model, pairs, int(pair), mask, values), atol=TOLERANCE
            )


@given(seed=st.integers(0, 200), count=st.integers(1, 40))
def test_donors_are_other_pairs_of_the_same_shape_each_given_once(seed, count):
    pairs = random_pairs(np.random.default_rng(seed).integers(4, 8, count).tolist(), seed)
    donors = draw_donors(pairs, seed)
    shape = [tuple(pairs.segment[pairs.tokens(pair)]) for pair in range(count)]
    for pair, donor in enumerate(donors):
        alone = shape.count(shape[pair]) == 1
        assert (donor == -1) == alone
        assert alone or (donor != pair and shape[donor] == shape[pair])
    given_away = donors[donors >= 0]
    assert len(set(given_away)) == len(given_away)


def test_mean_is_the_mean_of_hooked_outputs_by_class_of_token(model):
    reference, pairs = random_pairs([7, 9, 7, 12], seed=1), random_pairs([6, 10], seed=2)
    engine = ablation_engine(model, 300)
    mean = mean_head_outputs(engine.encoder, reference, max_tokens=20)
    classes = token_classes(reference)
    outputs = np.concatenate(
        [reference_contexts(model, reference, pair, KEEP) for pair in range(len(reference))], axis=1
    )  # [layer, token, head, head_dim]
    for layer in range(LAYERS):
        for kind in (QUERY, TITLE, CLS, SEP) if layer < LAYERS - 1 else (CLS,):
            expected = outputs[layer, classes == kind].mean(axis=0)
            np.testing.assert_allclose(mean.means[layer, kind], expected, atol=TOLERANCE)

    masks = random_masks(2, 5)
    found = engine.evaluate(pairs, masks, replacement=mean).masked_logits
    for pair in range(len(pairs)):
        values = mean.means[:, token_classes(pairs)[pairs.tokens(pair)]]
        for mask, logits in zip(masks, found, strict=True):
            expected = reference_replaced(model, pairs, pair, mask, values)
            np.testing.assert_allclose(logits[pair], expected, atol=TOLERANCE)


def test_classes_of_tokens():
    pairs = random_pairs([6])
    classes = token_classes(pairs)
    assert classes[0] == CLS
    assert (classes == SEP).sum() == 2
    assert torch.equal(torch.from_numpy(classes == QUERY), torch.from_numpy(pairs.segment == QUERY))
