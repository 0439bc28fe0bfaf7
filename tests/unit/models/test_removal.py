"""Smaller models against the framework's forward of the whole one, its heads and neurons masked by hooks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from pipeline.core.errors import InputError
from pipeline.models.checkpoint_files import check_folder
from pipeline.models.checkpoints import load_tuned, save_tuned
from pipeline.models.families import FAMILIES
from pipeline.models.inference import predict
from pipeline.models.removal import Kept, pruned_model, widened_model
from tests.support import cross_encoders
from tests.support.builders import CPU, random_classifier, random_pairs, tiny_tokenizer
from tests.support.chains import random_chain
from tests.support.reference import masked_logits

LAYERS, HEADS, NEURONS = 3, 3, 40
PAIRS = random_pairs([5, 9, 9, 17, 30])


def assert_equal(model: PreTrainedModel, kept: Kept) -> None:
    expected = masked_logits(model, PAIRS, kept)
    assert not np.allclose(expected, predict(model, PAIRS, model.config.pad_token_id), atol=1e-2)
    small = pruned_model(model, kept)
    for form in (small, widened_model(small, model, kept)):
        found = predict(form, PAIRS, model.config.pad_token_id)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def bits(count: int, rows: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.lists(st.booleans(), min_size=count, max_size=count), min_size=rows, max_size=rows).map(np.array)


@pytest.mark.parametrize(("family", "attention"), [*((family, "sdpa") for family in FAMILIES), ("bert", "eager")])
def test_logits_are_those_of_masks(family: str, attention: str):
    model = random_classifier(family, layers=LAYERS)
    if not (attention == "sdpa" and family == "deberta-v2"):  # which has eager attention alone
        model.set_attn_implementation(attention)
    heads = np.array([[True, False, True], [False, False, False], [False, True, False]])  # a layer without heads
    neurons = np.random.default_rng(0).random((LAYERS, NEURONS)) < 0.5
    assert_equal(model, Kept(heads, neurons))


@settings(max_examples=8, deadline=None)
@given(family=st.sampled_from(FAMILIES), heads=bits(HEADS, LAYERS), seed=st.integers(0, 9))
def test_whatever_is_removed(family: str, heads: np.ndarray, seed: int):
    model = random_classifier(family, layers=LAYERS, seed=seed)
    neurons = np.random.default_rng(seed).random((LAYERS, NEURONS)) < 0.6
    neurons[seed % LAYERS] = False  # a layer without neurons
    assert_equal(model, Kept(heads, neurons))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_chains(pooling: str):
    model = random_chain("modernbert", pooling, layers=LAYERS)
    heads = np.array([[True, False, True], [False, False, False], [False, True, False]])
    assert_equal(model, Kept(heads, np.arange(LAYERS * NEURONS).reshape(LAYERS, NEURONS) % 3 > 0))


def test_disentangled_attention_with_projections_of_its_own():
    model = random_classifier("deberta-v2", layers=LAYERS, share_att_key=False)
    heads = np.array([[True, False, True], [False, True, True], [False, True, False]])
    assert_equal(model, Kept(heads, np.ones((LAYERS, NEURONS), dtype=bool)))


def test_what_is_removed_is_gone_and_the_model_itself_stays():
    model = random_classifier("bert", layers=LAYERS)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    kept = Kept.everything(model)
    kept.heads[0, 1], kept.neurons[2, :10] = False, False
    small = pruned_model(model, kept)
    d, size = 24, 8
    gone = 3 * size * (d + 1) + d * size + 10 * (d + 1) + d * 10
    assert sum(map(torch.numel, small.parameters())) == sum(map(torch.numel, model.parameters())) - gone
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_smaller_model_comes_back_as_it_was_saved(family: str, tmp_path: Path):
    model = random_classifier(family, layers=LAYERS)
    heads = np.array([[True, False, True], [False, False, False], [False, True, False]])
    assert_comes_back(model, Kept(heads, np.random.default_rng(0).random((LAYERS, NEURONS)) < 0.5), tmp_path)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_smaller_chain_comes_back_and_its_full_form_is_a_cross_encoder(pooling: str, tmp_path: Path):
    model = cross_encoders.random_chain("bert", pooling)
    kept = Kept.everything(model)
    kept.heads[0, 1] = kept.neurons[1, 3] = False
    assert_comes_back(model, kept, tmp_path)
    save_tuned(widened_model(pruned_model(model, kept), model, kept), tiny_tokenizer(), tmp_path / "full")
    scores = cross_encoders.cross_encoder_scores(tmp_path / "full", *cross_encoders.random_texts(8))
    loaded = load_tuned(tmp_path / "small", CPU)
    assert cross_encoders.close_scores(cross_encoders.raw_scores(loaded, *cross_encoders.random_texts(8)), scores)


def assert_comes_back(model: PreTrainedModel, kept: Kept, folder: Path) -> None:
    small = pruned_model(model, kept)
    save_tuned(small, tiny_tokenizer(), folder / "small", kept)
    loaded, _ = load_tuned(folder / "small", CPU)
    weights = loaded.state_dict()
    assert weights.keys() == small.state_dict().keys()
    assert all(torch.equal(weight, weights[name]) for name, weight in small.state_dict().items())
    with pytest.raises(InputError, match="heads or neurons were removed"):
        check_folder(folder / "small")
