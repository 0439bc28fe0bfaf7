"""Gradient importance against differences of the loss, one pair a forward, its heads scaled by the reference's hook."""

import contextlib

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from pipeline.ablation.head_importance import gradient_importance, ranking_gradient_importance
from pipeline.core.errors import InputError
from pipeline.models.families import FAMILIES
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


QUERIES = np.array([7, 7, 3, 3, 7, 5])  # the last has one title, which nothing orders
TITLE_GRADES = np.array([0.0, 2.0, 1.5, 0.5, 2.0, 1.0])


def ranking_losses(model: PreTrainedModel, pairs: EncodedPairs, mask: np.ndarray) -> np.ndarray:
    """Pairwise log loss of queries 7 and 3, each pair of titles of different grades written out."""
    s = torch.from_numpy(reference_logits(model, pairs, mask))[:, 0]
    seventh = (F.softplus(s[0] - s[1]) + F.softplus(s[0] - s[4])) / 2  # titles 1 and 4 are equally good
    return torch.stack([seventh, F.softplus(s[3] - s[2])]).numpy()


@pytest.mark.parametrize(("family", "max_tokens"), [("bert", 10_000), ("bert", 20), ("deberta-v2", 30)])
def test_of_a_ranker_is_the_mean_size_of_each_querys_derivative(family, max_tokens):
    model = random_classifier(family, layers=LAYERS, heads=HEADS, num_labels=1).double()
    pairs, expected = random_pairs(LENGTHS), np.empty((2, LAYERS, HEADS))
    for layer, head in np.ndindex(LAYERS, HEADS):
        step = np.zeros((LAYERS, HEADS))
        step[layer, head] = STEP
        up, down = (ranking_losses(model, pairs, 1 + sign * step) for sign in (1, -1))
        expected[:, layer, head] = (up - down) / (2 * STEP)
    found = ranking_gradient_importance(model, pairs, TITLE_GRADES, QUERIES, max_tokens=max_tokens)
    np.testing.assert_allclose(found, np.abs(expected).mean(axis=0), rtol=1e-4, atol=1e-6)


def test_a_ranker_needs_a_query_with_titles_of_different_grades():
    model = random_classifier("bert", num_labels=1)
    with pytest.raises(InputError, match="none of 3 queries has titles of different grades"):
        ranking_gradient_importance(model, random_pairs(LENGTHS), np.ones(6), QUERIES)


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
