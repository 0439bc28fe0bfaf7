"""Norm-weighted attention against every head's output formed whole, from the framework's own hidden states."""

import numpy as np
import pytest
import torch

from pipeline.attention.head_functions import FUNCTIONS, TARGETED, written_weights
from pipeline.attention.norm_weighting import norm_weighted, relative_norms
from pipeline.attention.scoring import AttentionScorer, relative_writes
from pipeline.models.inference import collate
from tests.support.builders import random_classifier, random_pairs
from tests.support.reference import output_projections, reference_contexts
from tests.unit.attention.test_maps import ENCODED, PAD, SIZES, TOKENS, model, scores

EVERY_KEY = len(TARGETED)


def reference(of, pair: int) -> np.ndarray:
    """||alpha_ij f(x_j)|| over the mean over heads of its sum over j, [layer, head, query, key], by the definition."""
    span = ENCODED.tokens(pair)
    inputs = {"input_ids": ENCODED.ids[None, span], "token_type_ids": ENCODED.types[None, span]}
    inputs = {name: torch.tensor(values) for name, values in inputs.items()}
    with torch.no_grad():
        output = of(**inputs, output_attentions=True, output_hidden_states=True)
    layers = []
    for layer, states, attention in zip(of.bert.encoder.layer, output.hidden_states, output.attentions, strict=False):
        value, dense = layer.attention.self.value, layer.attention.output.dense
        size = value.out_features // attention.shape[1]
        written = []
        for head, alpha in enumerate(attention[0].double()):
            rows = slice(head * size, (head + 1) * size)
            values = states[0].double() @ value.weight[rows].double().T + value.bias[rows].double()
            outputs = values @ dense.weight[:, rows].double().T  # f(x_j) [key, d]
            written.append((alpha[:, :, None] * outputs[None]).norm(dim=-1))
        norms = torch.stack(written)
        layers.append(norms / norms.sum(dim=-1).mean(dim=0)[None, :, None])
    return torch.stack(layers).detach().numpy()


def biased_model():
    of = model()
    for layer in of.bert.encoder.layer:  # biases are 0 at the start, and would not be tested
        torch.nn.init.normal_(layer.attention.self.value.bias)
    return of


def written(of, max_tokens: int = 10_000) -> np.ndarray:
    """Norm-weighted attention by function, [pair, layer, head, function]."""
    scorer = AttentionScorer(of, ENCODED, TOKENS, max_tokens)
    with norm_weighted(of, scorer.mass(written_weights)) as write:
        return scorer.read(write)[0]


@pytest.mark.parametrize("max_tokens", [1, 40, 10_000])
def test_norms_are_those_of_whole_outputs(max_tokens):
    of = biased_model()
    found = written(of, max_tokens)
    for pair in range(len(SIZES)):
        expected = np.einsum("lhqk,qkf->lhf", reference(of, pair), written_weights(TOKENS[pair]).astype(float))
        np.testing.assert_allclose(found[pair], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["distilbert", "modernbert", "deberta-v2"])
def test_norms_of_other_families_are_those_of_outputs_taken_from_hooks(family):
    """A head's output from a key is what the projection makes of its values there, seen by attending to it alone."""
    of, pairs, heads = random_classifier(family, layers=2), random_pairs([9]), 3
    of.set_attn_implementation("eager")
    inputs = collate(pairs, np.array([0]), PAD, of.device)
    with torch.no_grad(), norm_weighted(of, lambda _, layers: list(layers)) as weigh:
        maps = of.base_model(**inputs, output_attentions=True).attentions
        found = weigh(np.array([0]), maps)
        contexts = torch.from_numpy(reference_contexts(of, pairs, 0, np.ones((2, heads))))
    for projection, attention, context, weighted in zip(output_projections(of), maps, contexts, found, strict=True):
        # The values are what the contexts are means of: contexts = attention @ values.
        values = torch.linalg.solve(attention[0].double(), context.transpose(0, 1).double())  # [head, key, head_dim]
        parts = projection.weight.detach().double().unflatten(1, (heads, -1))
        written = torch.einsum("hkc,dhc->hkd", values, parts).norm(dim=-1)[:, None] * attention[0]
        expected = written / written.sum(dim=-1, keepdim=True).mean(dim=0, keepdim=True)
        np.testing.assert_allclose(weighted[0], expected, rtol=1e-2, atol=1e-4)


def test_no_hook_is_left():
    of = model()
    AttentionScorer(of, ENCODED, TOKENS, 40).evidence(np.zeros((len(TOKENS), len(FUNCTIONS))), 0.8, seed=0)
    assert not any(layer.attention.self.value._forward_hooks for layer in of.bert.encoder.layer)


def test_relative_writes_are_means_of_relative_norms_by_attention():
    of = biased_model()
    plain = scores(of, 10_000)
    found = relative_writes(written(of), plain)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(plain))
    own, pair = FUNCTIONS.index("self"), 0
    diagonal = np.diagonal(reference(of, pair), axis1=-2, axis2=-1)[..., TOKENS[pair].text].mean(axis=-1)
    np.testing.assert_allclose(found[pair, :, :, own], diagonal / plain[pair, :, :, own], rtol=1e-3)
    # Over every key the heads of a layer share what is written.
    np.testing.assert_allclose(found[pair, :, :, EVERY_KEY].mean(axis=-1), 1, rtol=1e-4)


def test_a_head_that_writes_nothing_is_idle_whatever_it_attends_to():
    of = model()
    with torch.no_grad():
        of.bert.encoder.layer[0].attention.output.dense.weight[:, 4:8] = 0  # head 1 of three
    plain = scores(of, 10_000)
    idle = relative_writes(written(of), plain)[:, 0, 1]
    assert (idle[~np.isnan(idle)] == 0).all()


def test_a_layer_that_writes_nothing_is_idle_too():
    attention, norms = torch.full((1, 2, 3, 3), 1 / 3), torch.zeros(1, 2, 3)
    assert (relative_norms(attention, norms) == 0).all()
