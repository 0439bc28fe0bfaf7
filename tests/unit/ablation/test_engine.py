import contextlib
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForSequenceClassification

from pipeline.core.errors import InputError
from pipeline.models.families import FAMILIES
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.reference import TOLERANCE, assert_close, at_positions, masked_heads, reference_logits


def ablate(model, pairs, masks: np.ndarray, batch_tokens: int) -> np.ndarray:
    """[mask, pair, grade]; row 0, the unmasked model, is checked here."""
    result = ablation_engine(model, batch_tokens).evaluate(pairs, masks)
    assert_close(result.logits[0], reference_logits(model, pairs, np.ones(masks.shape[1:])))
    return result.masked_logits


class CountLaunches(TorchDispatchMode):
    """Count of the operations of a block: on a GPU each launches a kernel, or none."""

    def __init__(self):
        super().__init__()
        self.launches = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.launches += 1
        return func(*args, **(kwargs or {}))


def hooks(model) -> int:
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_the_frameworks_forward_with_a_hook(family, data):
    layers = data.draw(st.integers(1, 4), "layers")
    lengths = data.draw(st.lists(st.integers(4, 40), min_size=1, max_size=8), "lengths")
    density = data.draw(st.floats(0, 1), "share masked")
    count = data.draw(st.integers(1, 6), "interventions")
    seed = data.draw(st.integers(0, 1000), "seed")
    batch_tokens = data.draw(st.sampled_from([1, 64, 500, 10_000]), "batch_tokens")
    rng = np.random.default_rng(seed)
    masks = np.where(rng.random((count, layers, 3)) < density, rng.choice([0, 0.5], (count, layers, 3)), 1.0)
    model, pairs = random_classifier(family, layers=layers, seed=seed), random_pairs(lengths, seed)

    found = ablate(model, pairs, masks, batch_tokens)

    for mask, logits in zip(masks, found, strict=True):
        assert_close(logits, reference_logits(model, pairs, mask))


@given(seed=st.integers(0, 1000), layers=st.integers(1, 4), batch_tokens=st.sampled_from([1, 64, 10_000]))
@settings(max_examples=12, deadline=None)
def test_single_calls_are_those_of_the_whole_sweep(seed: int, layers: int, batch_tokens: int):
    rng = np.random.default_rng(seed)
    masks, calls = rng.choice([0, 0.5, 1, 1, 1], (7, layers, 3)), rng.random((8, 6)) < rng.random()
    model, pairs = random_classifier("bert", layers=layers, seed=seed), random_pairs([9, 5, 14, 9, 9, 5], seed)
    engine = ablation_engine(model, batch_tokens)
    found = engine.evaluate_calls(pairs, masks, calls)
    np.testing.assert_allclose(found, engine.evaluate(pairs, masks).logits[calls], atol=TOLERANCE)


def test_ten_times_the_calls_need_no_more_launches():
    engine, masks = ablation_engine(random_classifier("bert", layers=3), 10**6), np.ones((9, 3, 3))
    masks.reshape(9, 9)[np.diag_indices(9)] = 0
    launches = []
    for count in (10, 100):
        calls = np.random.default_rng(0).random((10, count)) < 0.2
        with CountLaunches() as counted:
            engine.evaluate_calls(random_pairs([9] * count), masks, calls)
        launches.append(counted.launches)
    assert launches[1] <= 1.1 * launches[0]


def test_a_layers_states_are_gone_while_the_layers_above_are_walked():
    """Else they would be alive in every layer at once: a third of what a deep model's walk holds."""
    engine, masks = ablation_engine(random_classifier("bert", layers=4), 64), np.ones((9, 4, 3))
    masks[:, :3].reshape(9, 9)[np.diag_indices(9)] = 0
    layers, entered, alive = engine.encoder.layers, [[], []], []
    layers[1:3] = [
        replace(layer, norm=partial(_noted, noted)) for layer, noted in zip(layers[1:3], entered, strict=True)
    ]
    layers[3] = replace(layers[3], norm=lambda states: alive.append(list(map(_count, entered))) or states)
    engine.evaluate(random_pairs([9] * 4), masks)
    assert len(alive) > 9
    assert alive == [[0, 0]] * len(alive)


def _noted(entered: list[weakref.ref], states: torch.Tensor) -> torch.Tensor:
    entered.append(weakref.ref(states))
    return states


def _count(entered: list[weakref.ref]) -> int:
    return sum(state() is not None for state in entered)


@given(seed=st.integers(0, 1000), layers=st.integers(1, 4), batch_tokens=st.sampled_from([1, 64, 10_000]))
@settings(max_examples=12, deadline=None)
def test_a_mask_of_cls_rows_equals_a_hook_that_spares_the_other_positions(seed: int, layers: int, batch_tokens: int):
    rng = np.random.default_rng(seed)
    masks, cls_only = rng.choice([0, 0.5, 1], (5, layers, 3)), rng.random((5, layers, 3)) < 0.5
    masks[1], cls_only[1] = masks[0], ~cls_only[0]  # one mask, other rows: the prefix tree holds them apart
    model, pairs = random_classifier("bert", layers=layers, seed=seed), random_pairs([9, 5, 14, 9], seed)
    found = ablation_engine(model, batch_tokens).evaluate(pairs, masks, cls_only=cls_only).masked_logits
    for number, (mask, only) in enumerate(zip(masks, cls_only, strict=True)):
        for pair in range(len(pairs)):
            alone = pairs.take(np.array([pair]))
            expected = reference_logits(model, alone, at_positions(mask, only, int(alone.lengths[0])))
            np.testing.assert_allclose(found[number, pair], expected[0], atol=TOLERANCE)


def test_in_the_last_layer_a_cls_row_is_all_that_is_read_of_a_head():
    model, pairs = random_classifier("bert", layers=2), random_pairs([9, 5, 9])
    masks, engine = np.ones((2, 2, 3)), ablation_engine(model, 256)
    masks[0, 1, 2] = masks[1, 0, 2] = 0
    ordinary = engine.evaluate(pairs, masks).masked_logits
    cls_rows = engine.evaluate(pairs, masks, cls_only=np.ones(masks.shape, dtype=bool)).masked_logits
    np.testing.assert_allclose(cls_rows[0], ordinary[0], atol=TOLERANCE)
    assert np.abs(cls_rows[1] - ordinary[1]).max() > 1e-3


@pytest.mark.parametrize("activation", ["gelu_new", "relu", "silu"])
def test_other_activations(activation):
    model, pairs = random_classifier("bert", hidden_act=activation), random_pairs([9, 5, 9])
    mask = np.array([[1, 0, 1], [0, 1, 1]])
    found = ablate(model, pairs, mask[None], 256)[0]
    np.testing.assert_allclose(found, reference_logits(model, pairs, mask), atol=TOLERANCE)


def test_electra_with_embeddings_of_another_size():
    model, pairs = random_classifier("electra", embedding_size=10), random_pairs([12, 7])
    mask = np.array([[1, 0, 1], [1, 1, 0]])
    found = ablate(model, pairs, mask[None], 256)[0]
    np.testing.assert_allclose(found, reference_logits(model, pairs, mask), atol=TOLERANCE)


def test_masking_a_head_equals_zeroing_its_columns_of_the_output_projection():
    model, pairs = random_classifier("bert"), random_pairs([8, 15, 8])
    mask = np.ones((2, 3))
    mask[1, 2] = 0
    found = ablate(model, pairs, mask[None], 256)[0]
    with torch.no_grad():
        model.bert.encoder.layer[1].attention.output.dense.weight[:, 16:24] = 0
    np.testing.assert_allclose(found, reference_logits(model, pairs, np.ones((2, 3))), atol=TOLERANCE)


def test_nothing_masked_is_the_model_itself_and_leaves_no_hook():
    model, pairs = random_classifier("bert"), random_pairs([8])
    before = hooks(model)
    found = ablate(model, pairs, np.ones((1, 2, 3)), 256)[0]
    ids = torch.from_numpy(pairs.ids)[None]
    types = torch.from_numpy(pairs.types)[None]
    with torch.inference_mode():
        expected = model(input_ids=ids, token_type_ids=types).logits.numpy()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert hooks(model) == before


def test_the_reference_removes_its_hooks_also_after_an_error():
    model = random_classifier("bert")
    inside = []
    with contextlib.suppress(RuntimeError), masked_heads(model, np.ones((2, 3))):
        inside.append(hooks(model))
        raise RuntimeError
    assert inside == [2]
    assert hooks(model) == 0


def test_another_architecture_is_refused_by_name():
    config = AutoConfig.for_model(
        "mpnet", vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = AutoModelForSequenceClassification.from_config(config)
    with pytest.raises(InputError, match=r"mpnet.*bert, roberta.*camembert, distilbert, modernbert, deberta-v2"):
        ablate(model, random_pairs([8]), np.ones((1, 1, 2)), 256)
