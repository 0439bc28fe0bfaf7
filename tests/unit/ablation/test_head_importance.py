"""Gradient importance against differences of the loss, one pair a forward, its heads scaled by the reference's hook."""

import contextlib

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from pipeline.ablation.head_importance import gradient_importance
from pipeline.models.checkpoint_files import FAMILIES
from pipeline.models.tokenization import EncodedPairs
from tests.support.builders import random_classifier, random_pairs
from tests.support.reference import reference_logits

LAYERS, HEADS = 2, 3
LENGTHS = [9, 4, 23, 9, 14, 6]
GRADES = np.array([0, 4, 2, 2, 1, 3])
STEP = 2.0**-13  # exact in float32, which the reference's masks are


def measured(model: PreTrainedModel, pairs: EncodedPairs, grades: np.ndarray, max_tokens: int = 10_000) -> np.ndarray:
    return gradient_importance(model, pairs, grades, max_tokens)


def losses(model: PreTrainedModel, pairs: EncodedPairs, mask: np.ndarray) -> np.ndarray:
    logits = torch.from_numpy(reference_logits(model, pairs, mask))
    return F.cross_entropy(logits, torch.from_numpy(GRADES), reduction="none").numpy()


def derivatives(model: PreTrainedModel, pairs: EncodedPairs) -> np.ndarray:
    """Central differences of each pair's loss by each head's multiplier, [pair, layer, head]."""
    found = np.empty((len(pairs), LAYERS, HEADS))
    for layer, head in np.ndindex(LAYERS, HEADS):
        step = np.zeros((LAYERS, HEADS))
        step[layer, head] = STEP
        found[:, layer, head] = (losses(model, pairs, 1 + step) - losses(model, pairs, 1 - step)) / (2 * STEP)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_is_the_mean_size_of_each_pairs_own_derivative(family):
    model, pairs = random_classifier(family, layers=LAYERS, heads=HEADS).double(), random_pairs(LENGTHS)
    expected = derivatives(model, pairs)
    found = measured(model, pairs, GRADES)
    assert (found.shape, found.dtype) == ((LAYERS, HEADS), np.float64)
    # ModernBERT turns queries and keys in float32 whatever the model's type, which a small difference feels.
    rtol = 1e-3 if family == "modernbert" else 1e-4
    np.testing.assert_allclose(found, np.abs(expected).mean(axis=0), rtol=rtol, atol=1e-6)
    # These derivatives have both signs: the size of their mean is something else.
    assert (np.abs(expected.mean(axis=0)) < 0.9 * found).any()


@pytest.mark.parametrize("max_tokens", [1, 30, 60])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_batches_their_order_and_padding_do_not_matter(max_tokens, attention):
    model, pairs = random_classifier("bert"), random_pairs(LENGTHS)
    whole = measured(model, pairs, GRADES)
    model.set_attn_implementation(attention)
    np.testing.assert_allclose(measured(model, pairs, GRADES, max_tokens), whole, rtol=1e-4)
    order = np.random.default_rng(0).permutation(len(pairs))
    np.testing.assert_allclose(measured(model, pairs.take(order), GRADES[order], max_tokens), whole, rtol=1e-4)


@pytest.mark.parametrize("grades", [GRADES, GRADES + 5])
def test_leaves_no_hook_and_no_gradient_behind_also_after_an_error(grades):
    model = random_classifier("bert")
    raises = pytest.raises(IndexError) if grades.max() > 4 else contextlib.nullcontext()
    with raises:
        measured(model, random_pairs(LENGTHS), grades)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())


def test_frozen_weights_and_a_caller_without_gradients_make_no_difference():
    model, pairs = random_classifier("bert"), random_pairs(LENGTHS)
    free = measured(model, pairs, GRADES)
    model.requires_grad_(False)
    with torch.no_grad():
        np.testing.assert_allclose(measured(model, pairs, GRADES), free, rtol=1e-5)


def test_a_head_that_says_nothing_has_no_importance():
    model = random_classifier("bert")
    with torch.no_grad():
        model.bert.encoder.layer[1].attention.output.dense.weight[:, 8:16] = 0
    found = measured(model, random_pairs(LENGTHS), GRADES)
    assert found[1, 1] == 0
    assert np.count_nonzero(found) == found.size - 1
