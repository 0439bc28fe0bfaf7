from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.ablation.engine_check import check_engine, check_model, pairs_by_length
from pipeline.ablation.precision import BFLOAT16, TF32
from pipeline.core.errors import InputError
from tests.support.builders import ablation_engine, random_classifier, random_pairs

PAIRS = random_pairs([9, 5, 30, 14, 9, 22, 70, 8, 6, 12, 11])


@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta-v2"])
@pytest.mark.parametrize("outputs", [1, 5])
def test_an_engine_of_the_same_model_passes(family, outputs):
    model = random_classifier(family, num_labels=outputs, max_position_embeddings=80)
    check_engine(ablation_engine(model, 500), model, PAIRS)


def test_an_engine_of_other_weights_is_stopped():
    model = random_classifier("bert", max_position_embeddings=80)
    engine = ablation_engine(model, 500)
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight[3, 5] += 0.01
    with pytest.raises(InputError, match=r"'bert'.*from the framework's.*tokens differ.*name another checkpoint"):
        check_engine(engine, model, PAIRS)


@pytest.mark.parametrize(("difference", "passes"), [(3e-5, True), (3e-4, False)])
def test_what_kernels_round_otherwise_passes_and_ten_times_that_does_not(difference, passes):
    """On an AMD EPYC oneDNN's logits of the fine-tuned default are up to 1.2e-5 of their size from MKL's."""
    model = random_classifier("bert", max_position_embeddings=80)
    engine = ablation_engine(model, 500)
    size, classify = np.abs(engine.unmasked(PAIRS).unmasked_logits).max(), engine.encoder.classify
    moved = replace(engine.encoder, classify=lambda states: classify(states) + difference * size)
    with nullcontext() if passes else pytest.raises(InputError, match="from the framework's"):
        check_engine(replace(engine, encoder=moved), model, PAIRS)


@pytest.mark.parametrize("precision", [TF32, BFLOAT16])
def test_a_rounded_engine_passes_within_its_bound_and_float32_is_the_fix_beyond(precision):
    model = random_classifier("bert", max_position_embeddings=80)
    engine = ablation_engine(model, 500, precision)
    check_engine(engine, model, PAIRS)
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight.normal_(0, 3)
    with pytest.raises(InputError, match=rf"ablation.precision is '{precision.name}'.*set it to 'float32'"):
        check_engine(engine, model, PAIRS)


def test_an_engine_that_differs_in_long_texts_alone_is_stopped():
    model = random_classifier("modernbert", layers=3, local_attention=24, max_position_embeddings=80)
    engine = ablation_engine(model, 500)
    for layer in engine.encoder.layers[1:]:
        object.__setattr__(layer.attention.positions, "window", None)
    with pytest.raises(InputError, match="pairs of 14, 22, 70 tokens differ"):
        check_engine(engine, model, PAIRS)


def test_pairs_are_spread_over_the_lengths():
    lengths = np.array([5, 100, 7, 30, 30, 8, 60])
    np.testing.assert_array_equal(lengths[pairs_by_length(lengths, 3)], [5, 30, 100])
    np.testing.assert_array_equal(pairs_by_length(lengths[:2], 8), [0, 1])


def test_a_model_whose_forward_is_another_is_stopped_before_it_is_trained():
    """Something between the layers that the engine does not know, as an option of config.json might put there."""
    model = random_classifier("bert", max_position_embeddings=80)
    check_model(model, PAIRS)
    model.bert.encoder.layer[0].register_forward_hook(lambda module, inputs, output: output * 1.01)
    with pytest.raises(InputError, match="from the framework's"):
        check_model(model, PAIRS)
