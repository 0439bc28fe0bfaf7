"""Masks of feed-forward neurons, alone and with heads, against the framework's forward with hooks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.families import FAMILIES
from pipeline.models.removal import Kept
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.reference import masked_logits

LAYERS, HEADS, NEURONS = 3, 3, 40
PAIRS = random_pairs([5, 9, 9, 17])


def check(family: str, heads: np.ndarray, neurons: np.ndarray, batch_tokens: int = 4096) -> None:
    model = random_classifier(family, layers=LAYERS)
    found = ablation_engine(model, batch_tokens).evaluate(PAIRS, heads.astype(np.float32), neurons=neurons)
    whole = Kept.everything(model)
    rows = [(whole.heads, whole.neurons), *zip(heads, neurons, strict=True)]
    expected = [masked_logits(model, PAIRS, Kept(*kept)) for kept in rows]
    np.testing.assert_allclose(found.logits, expected, atol=1e-5 * np.abs(expected).max())


def blocks(masks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of single blocks of ten neurons, of which the second half lacks heads too; some rows are alike."""
    rng = np.random.default_rng(seed)
    heads, neurons = np.ones((masks, LAYERS, HEADS), dtype=bool), np.ones((masks, LAYERS, NEURONS), dtype=bool)
    for mask in range(masks):
        layer, block = rng.integers(LAYERS), rng.integers(4)
        neurons[mask, layer, 10 * block : 10 * block + 10] = False
        if mask >= masks // 2:
            heads[mask, rng.integers(LAYERS), rng.integers(HEADS)] = False
    return heads, neurons


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_of_neurons(family: str):
    check(family, *blocks(24, 0))


@settings(max_examples=6, deadline=None)
@given(
    family=st.sampled_from(["bert", "modernbert"]), seed=st.integers(0, 99), batch_tokens=st.sampled_from([1, 40, 4096])
)
def test_whatever_neurons_and_heads_in_stacks_of_any_size(family: str, seed: int, batch_tokens: int):
    rng = np.random.default_rng(seed)
    heads, neurons = rng.random((5, LAYERS, HEADS)) < 0.7, rng.random((5, LAYERS, NEURONS)) < 0.7
    heads[1], neurons[2] = heads[0], neurons[0]  # prefixes in common
    check(family, heads, neurons, batch_tokens)
