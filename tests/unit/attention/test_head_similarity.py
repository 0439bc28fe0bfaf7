"""Distances of heads against scipy on the framework's own attention, one pair at a time and nothing padded."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from transformers import PreTrainedModel

from pipeline.attention import head_similarity
from pipeline.models.families import FAMILIES
from pipeline.models.inference import collate
from pipeline.models.tokenization import EncodedPairs
from tests.support.builders import random_classifier, random_pairs

LENGTHS = [9, 4, 23, 9, 14]


def eager(family: str = "bert", **settings) -> PreTrainedModel:
    model = random_classifier(family, **settings)
    model.set_attn_implementation("eager")
    return model


def measured(model: PreTrainedModel, pairs: EncodedPairs, max_tokens: int = 10_000) -> np.ndarray:
    return head_similarity.head_distances(model, pairs, model.config.pad_token_id, max_tokens)


@torch.no_grad()
def expected(model: PreTrainedModel, pairs: EncodedPairs, step: int = 1) -> np.ndarray:
    """Mean distances, of every token as a query or of every `step`-th."""
    means = []
    for pair in range(len(pairs)):
        output = model(**collate(pairs, np.array([pair]), 0, model.device), output_attentions=True)
        heads = torch.cat(output.attentions).double().flatten(0, 1).numpy()[:, ::step]  # [layer * head, query, key]
        means.append(jensenshannon(heads[:, None], heads[None], base=2, axis=-1).mean(axis=-1))
    return np.mean(means, axis=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("max_tokens", [1, 50, 10_000])
def test_equals_scipy_whatever_the_batches_and_their_padding(family, max_tokens):
    model, pairs = eager(family), random_pairs(LENGTHS)
    found = measured(model, pairs, max_tokens)
    assert (found.shape, found.dtype) == ((6, 6), np.float64)
    np.testing.assert_allclose(found, expected(model, pairs), atol=1e-5)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 0)
    assert found.max() <= 1


def test_of_long_pairs_few_queries_count(monkeypatch):
    model, pairs = eager(), random_pairs([24, 24])
    monkeypatch.setattr(head_similarity, "MAX_QUERIES", 8)
    np.testing.assert_allclose(measured(model, pairs), expected(model, pairs, step=3), atol=1e-5)


def test_short_pairs_are_all_compared_and_long_ones_up_to_a_bound_of_their_weights(monkeypatch):
    pairs = random_pairs([10, 50, 10, 10])
    assert len(head_similarity.compared_pairs(pairs)) == 4
    monkeypatch.setattr(head_similarity, "MAX_QUERIES", 20)
    for bound, count in ((1, 1), (10 * 10 + 20 * 50 - 1, 1), (10 * 10 + 20 * 50, 2)):
        monkeypatch.setattr(head_similarity, "MAX_WEIGHTS", bound)
        assert len(head_similarity.compared_pairs(pairs)) == count
    monkeypatch.setattr(head_similarity, "MAX_WEIGHTS", 10**6)
    monkeypatch.setattr(head_similarity, "MAX_PAIRS", 3)
    assert head_similarity.compared_pairs(pairs).lengths.tolist() == [10, 50, 10]


def test_blocks_of_any_size_add_up_to_the_same(monkeypatch):
    model, pairs = eager(layers=3), random_pairs(LENGTHS)
    whole = measured(model, pairs)
    monkeypatch.setattr(head_similarity, "BLOCK", 1)
    np.testing.assert_allclose(measured(model, pairs), whole, atol=1e-12)


def test_heads_that_attend_alike_lie_at_zero():
    model = eager()
    attention = model.bert.encoder.layer[0].attention.self
    with torch.no_grad():
        for linear in (attention.query, attention.key):
            linear.weight[8:16], linear.bias[8:16] = linear.weight[:8], linear.bias[:8]
    found = measured(model, random_pairs(LENGTHS))
    assert found[0, 1] < 1e-5 < 1e-2 < found[0, 2]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_heads_that_share_no_key_lie_at_one():
    """Head 0 looks at [CLS]'s position alone, head 1 at the next one alone, whoever asks."""
    model, size = eager(layers=1, heads=2), 8
    embeddings, attention = model.bert.embeddings, model.bert.encoder.layer[0].attention.self
    with torch.no_grad():
        embeddings.word_embeddings.weight.zero_()
        embeddings.token_type_embeddings.weight.zero_()
        embeddings.position_embeddings.weight.copy_(torch.eye(64, 2 * size))
        for linear in (attention.query, attention.key):
            linear.weight.zero_()
            linear.bias.zero_()
        for head in range(2):
            attention.query.bias[head * size] = 1000
            attention.key.weight[head * size, head] = 1
    np.testing.assert_allclose(measured(model, random_pairs([6, 9])), [[0, 1], [1, 0]], atol=1e-6)
