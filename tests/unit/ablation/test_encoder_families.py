"""What the families do differently, against the framework's own forward with a hook."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.patching import ActivationPatch, mean_head_outputs, token_classes
from pipeline.ablation.precision import BFLOAT16, FLOAT32
from pipeline.core.errors import InputError
from pipeline.models.tokenization import EncodedPairs
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.chains import random_chain
from tests.support.reference import at_positions, reference_contexts, reference_logits, reference_replaced

NEW = ("distilbert", "modernbert", "deberta-v2")
LAYERS, HEADS = 4, 3  # of ModernBERT's first four layers two see a window, one of them behind a full one
TOLERANCE = 1e-5


def assert_exact(model: PreTrainedModel, pairs: EncodedPairs, seed: int = 0, batch_tokens: int = 600) -> None:
    """The unmasked model and random masks, some of [CLS] rows alone, are those of the framework."""
    rng, shape = np.random.default_rng(seed), (3, LAYERS, HEADS)
    masks, cls_only = rng.choice([0, 0.5, 1], shape), rng.random(shape) < 0.3
    masks[0], cls_only[1] = 1, True
    found = ablation_engine(model, batch_tokens).evaluate(pairs, masks, cls_only=cls_only).logits
    np.testing.assert_array_equal(found[0], found[1])
    for pair in range(len(pairs)):
        alone = pairs.take(np.array([pair]))
        for mask, only, logits in zip(masks, cls_only, found[1:, pair], strict=True):
            expected = reference_logits(model, alone, at_positions(mask, only, int(alone.lengths[0])))[0]
            np.testing.assert_allclose(logits, expected, atol=TOLERANCE * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", *NEW])
def test_texts_long_enough_for_the_fused_kernel(family):
    model = random_classifier(family, LAYERS, max_position_embeddings=160)
    assert_exact(model, random_pairs([63, 64, 20, 130]))


@pytest.mark.parametrize("family", ["bert", *NEW])
def test_short_texts_through_the_fused_kernel(family, monkeypatch):
    """As reduced precisions on a GPU take it."""
    monkeypatch.setattr("pipeline.ablation.encoder.fused_from", lambda device, precision: 0)
    assert_exact(random_classifier(family, LAYERS), random_pairs([30, 5, 12, 5]))


@pytest.mark.parametrize("family", NEW)
@given(seed=st.integers(0, 1000), lengths=st.lists(st.integers(4, 50), min_size=1, max_size=3))
@settings(max_examples=3, deadline=None)
def test_masks_of_cls_rows(family, seed, lengths):
    assert_exact(random_classifier(family, LAYERS, seed=seed), random_pairs(lengths, seed), seed)


@given(seed=st.integers(0, 1000), window=st.sampled_from([2, 8, 30]), every=st.sampled_from([1, 2, 3]))
@settings(max_examples=5, deadline=None)
def test_mean_pooling_reads_every_position_of_the_last_layer(seed, window, every):
    model = random_classifier(
        *("modernbert", LAYERS, HEADS, seed),
        **{"classifier_pooling": "mean", "local_attention": window, "global_attn_every_n_layers": every},
    )
    assert_exact(model, random_pairs([40, 9, 9], seed), seed)


def test_with_mean_pooling_a_cls_row_of_the_last_layer_is_not_all_of_a_head():
    model, pairs = random_classifier("modernbert", LAYERS, classifier_pooling="mean"), random_pairs([9, 5, 9])
    masks, engine = np.ones((1, LAYERS, HEADS)), ablation_engine(model, 256)
    masks[0, -1, 2] = 0
    whole = engine.evaluate(pairs, masks).masked_logits
    row = engine.evaluate(pairs, masks, cls_only=np.ones(masks.shape, dtype=bool)).masked_logits
    assert np.abs(whole - row).max() > 1e-3


@pytest.mark.parametrize("family", ["bert", *NEW])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_chains_of_an_encoder_a_pooling_and_scoring_modules(family, pooling):
    assert_exact(random_chain(family, pooling, layers=LAYERS), random_pairs([30, 5, 12, 5]))


@pytest.mark.parametrize("family", NEW)
def test_one_output(family):
    assert_exact(random_classifier(family, LAYERS, num_labels=1), random_pairs([11, 6]))


@pytest.mark.parametrize(
    "config",
    [
        {"share_att_key": False},
        {"share_att_key": False, "pos_att_type": ["c2p"]},
        {"pos_att_type": ["p2c"]},
        {"pos_att_type": []},
        {"relative_attention": False},
        {"position_buckets": -1, "max_relative_positions": 5},
        {"position_buckets": 8, "max_relative_positions": 20},
        {"position_biased_input": True, "norm_rel_ebd": "none", "type_vocab_size": 0},
        {"embedding_size": 10, "hidden_act": "relu"},
    ],
    ids=str,
)
def test_disentangled_attention(config):
    assert_exact(random_classifier("deberta-v2", LAYERS, **config), random_pairs([40, 7, 7]))


@pytest.mark.parametrize(
    "config",
    [{"attention_bias": True, "mlp_bias": True, "norm_bias": True}, {"hidden_activation": "silu"}],
    ids=str,
)
def test_modernberts_options(config):
    assert_exact(random_classifier("modernbert", LAYERS, **config), random_pairs([40, 7, 7]))


@pytest.mark.parametrize(
    ("family", "config", "message"),
    [
        ("deberta-v2", {"conv_kernel_size": 3}, "convolution.*conv_kernel_size 3"),
        (
            "modernbert",
            {"rope_parameters": {"full_attention": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}},
            "rotary positions of type 'dynamic'",
        ),
    ],
)
def test_what_cannot_be_exact_is_refused(family, config, message):
    with pytest.raises(InputError, match=message):
        AblatableEncoder.from_pretrained_model(random_classifier(family, **config))


@pytest.mark.parametrize("family", NEW)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_patches_and_means_are_those_of_hooked_outputs(family, pooling):
    model, pairs = random_chain(family, pooling, layers=LAYERS), random_pairs([7, 20, 7], seed=2)
    engine, rng = ablation_engine(model, 100), np.random.default_rng(0)
    masks, keep = rng.choice([0.0, 0.5, 1.0], (3, LAYERS, HEADS)), np.ones((1, LAYERS, HEADS), np.float32)
    patched = engine.evaluate(pairs, masks, replacement=ActivationPatch(keep)).masked_logits
    replacement = mean_head_outputs(engine.encoder, pairs, max_tokens=20)
    averaged = engine.evaluate(pairs, masks, replacement=replacement).masked_logits

    classes = token_classes(pairs)
    outputs = [reference_contexts(model, pairs, pair, keep[0]) for pair in range(len(pairs))]
    every = np.concatenate(outputs, axis=1)  # [layer, token, head, head_dim]
    means = np.stack([every[:, classes == kind].mean(axis=1) for kind in range(4)], axis=1)
    for pair, values in enumerate(outputs):
        mean = means[:, classes[pairs.tokens(pair)]]
        for number, mask in enumerate(masks):
            for found, given_away in ((patched, values), (averaged, mean)):
                expected = reference_replaced(model, pairs, pair, mask, given_away)
                np.testing.assert_allclose(found[number, pair], expected, atol=TOLERANCE)


@pytest.mark.parametrize("family", NEW)
def test_bfloat16_is_near(family):
    model, pairs = random_classifier(family, LAYERS, max_position_embeddings=80), random_pairs([70, 9], seed=1)
    masks = np.random.default_rng(0).choice([0.0, 1.0], (3, LAYERS, HEADS))
    exact, rounded = (
        ablation_engine(model, 500, precision).evaluate(pairs, masks).logits for precision in (FLOAT32, BFLOAT16)
    )
    assert 0 < np.abs(exact - rounded).max() < 0.1 * exact.std()
