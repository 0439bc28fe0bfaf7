"""Streamed scores and maps against the framework's own forward, one pair at a time, and against planted heads."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.attention import maps as attention_module
from pipeline.attention.head_functions import FUNCTIONS, Tokens, chance, weights
from pipeline.attention.maps import attention_maps
from pipeline.attention.scoring import AttentionScorer
from pipeline.models.inference import collate
from pipeline.models.tokenization import EncodedPairs
from tests.support.builders import random_classifier

PAD, CLS, SEP = 0, 1, 2
VOCABULARY = 30
# Words of the query and of the title; pair 3 shares no term and has no words of two tokens, pair 4 has no text.
SIZES = [(3, 5), (1, 2), (6, 9), (2, 1), (0, 0), (4, 4)]


def model(layers=2, heads=3, **overrides) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=12,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=0.8,  # attention far from uniform
        attn_implementation="eager",
        **overrides,
    )
    return BertForSequenceClassification(config).eval()


def corpus() -> tuple[EncodedPairs, list[Tokens]]:
    rng = np.random.default_rng(5)
    pairs = [_pair(rng, *sizes, words_of_two=index != 3) for index, sizes in enumerate(SIZES)]
    return encode(pairs), [tokens for _, tokens in pairs]


def encode(pairs: list[tuple[np.ndarray, Tokens]]) -> EncodedPairs:
    """Pairs given by their vocabulary indices and tokens."""
    ids = np.concatenate([ids for ids, _ in pairs])
    segment = np.concatenate([tokens.segment for _, tokens in pairs])
    return EncodedPairs(
        ids=ids,
        types=np.maximum(segment, 0),
        segment=segment,
        offsets=np.zeros((len(ids), 2), dtype=np.int32),
        starts=np.concatenate([[0], np.cumsum([len(ids) for ids, _ in pairs])]),
        truncated=np.zeros(len(pairs), dtype=bool),
    )


def _pair(rng, query_words: int, title_words: int, words_of_two: bool) -> tuple[np.ndarray, Tokens]:
    """Words of one token, each second of two; the query's words come first in the title again."""
    ids, word, key, segment = [CLS], [-1], [-1], [-1]
    for index, (first, count) in enumerate([(0, query_words), (query_words, title_words)]):
        for place in range(count):
            size = 1 + (place % 2 if words_of_two else 0)
            ids += rng.integers(3, VOCABULARY, size).tolist()
            word += [first + place] * size
            key += [place if words_of_two else first + place] * size
            segment += [index] * size
        ids, word, key, segment = [*ids, SEP], [*word, -1], [*key, -1], [*segment, -1]
    tokens = np.array(ids)
    return tokens, Tokens(np.array(word), np.array(key), np.array(segment), tokens == CLS, tokens == SEP)


ENCODED, TOKENS = corpus()


def scores(of, max_tokens: int) -> np.ndarray:
    return AttentionScorer(of, ENCODED, TOKENS, max_tokens).scores().functions


def framework_attention(of, pair: int) -> np.ndarray:
    """[layer, head, query, key] of one pair, unpadded, from the whole classifier."""
    span = ENCODED.tokens(pair)
    with torch.no_grad():
        output = of(
            input_ids=torch.tensor(ENCODED.ids[None, span]),
            token_type_ids=torch.tensor(ENCODED.types[None, span]),
            output_attentions=True,
        )
    return torch.cat(output.attentions).double().numpy()


@pytest.mark.parametrize("max_tokens", [1, 40, 10_000])
def test_streaming_equals_one_pair_at_a_time(max_tokens):
    of = model()
    streamed = scores(of, max_tokens)
    assert streamed.shape == (len(SIZES), 2, 3, len(FUNCTIONS))
    assert streamed.dtype == np.float32
    for pair in range(len(SIZES)):
        maps = framework_attention(of, pair)
        mass, rows = weights(TOKENS[pair])
        expected = np.concatenate(
            [
                np.einsum("lhqk,qkf->lhf", maps, mass.astype(float)),
                np.einsum("lhq,q->lh", -(maps * np.log(maps)).sum(-1), rows)[..., None],
            ],
            axis=-1,
        )
        np.testing.assert_allclose(streamed[pair], expected, atol=1e-5)


@pytest.mark.parametrize("family", ["distilbert", "modernbert", "deberta-v2"])
def test_padding_changes_nothing_in_other_families(family):
    """Local attention, rotary and relative positions, in a padded batch and one pair at a time."""
    of = random_classifier(family)
    of.set_attn_implementation("eager")
    streamed = scores(of, 10_000)
    for pair, tokens in enumerate(TOKENS):
        with torch.no_grad():
            inputs = collate(ENCODED, np.array([pair]), PAD, of.device)
            maps = torch.cat(of(**inputs, output_attentions=True).attentions).double().numpy()
        np.testing.assert_allclose(maps.sum(axis=-1), 1, atol=1e-5)
        expected = np.einsum("lhqk,qkf->lhf", maps, weights(tokens)[0].astype(float))
        np.testing.assert_allclose(streamed[pair, ..., :-1], expected, atol=1e-5)


def test_undefined_is_nan_for_its_own_pair_alone():
    undefined = np.isnan(scores(model(), 10_000)).all(axis=(1, 2))
    expected = np.zeros((len(SIZES), len(FUNCTIONS)), dtype=bool)
    expected[3, [FUNCTIONS.index("term_match"), FUNCTIONS.index("segmentation")]] = True
    expected[4] = True
    np.testing.assert_array_equal(undefined, expected)


def test_a_batch_is_bounded_by_its_maps_too(monkeypatch):
    of = model()
    whole = scores(of, 10_000)
    longest = int(ENCODED.lengths.max())
    monkeypatch.setattr(attention_module, "MAX_WEIGHTS", 2 * 2 * 3 * longest**2)
    seen = []
    of.base_model.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    np.testing.assert_allclose(scores(of, 10_000), whole, atol=1e-5)
    assert seen[0] == (2, longest)
    assert [count for count, _ in seen] == [2] * (len(SIZES) // 2)


def test_a_model_without_preferences_scores_chance():
    of = model()
    for layer in of.bert.encoder.layer:
        torch.nn.init.zeros_(layer.attention.self.query.weight)
    expected = np.stack([chance(*weights(tokens)) for tokens in TOKENS])
    actual = scores(of, 10_000)
    np.testing.assert_allclose(actual, np.broadcast_to(expected[:, None, None], actual.shape), atol=1e-5)


def test_planted_heads_score_one():
    """Head 0 looks at its own position, head 1 at the one before, whatever the tokens are."""
    size = int(ENCODED.lengths.max())
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=2 * size,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=4,
        max_position_embeddings=size,
        attn_implementation="eager",
    )
    of = BertForSequenceClassification(config).eval()
    here, before = torch.eye(size), torch.eye(size).roll(-1, 0)
    nothing = torch.zeros(size, size)
    with torch.no_grad():
        of.bert.embeddings.word_embeddings.weight.zero_()
        of.bert.embeddings.token_type_embeddings.weight.zero_()
        of.bert.embeddings.position_embeddings.weight.copy_(torch.cat([here, nothing], dim=1))
        heads = of.bert.encoder.layer[0].attention.self
        heads.query.weight.copy_(30 * torch.cat([torch.cat([here, nothing], 1), torch.cat([before, nothing], 1)]))
        heads.key.weight.copy_(torch.cat([torch.cat([here, nothing], 1), torch.cat([here, nothing], 1)]))
    one_token_words = 3
    by_function = dict(zip(FUNCTIONS, scores(of, 10_000)[one_token_words, 0].T, strict=True))
    np.testing.assert_allclose(by_function["self"], [1, 0], atol=1e-4)
    np.testing.assert_allclose(by_function["previous_term"], [0, 1], atol=1e-4)
    np.testing.assert_allclose(by_function["next_term"], [0, 0], atol=1e-4)
    np.testing.assert_allclose(by_function["entropy"], [0, 0], atol=1e-2)
    # Of three words the query's first looks back at [CLS], the title's only one at [SEP].
    np.testing.assert_allclose(by_function["cls"], [0, 1 / 3], atol=1e-4)
    np.testing.assert_allclose(by_function["sep"], [0, 1 / 3], atol=1e-4)


def test_maps_are_the_frameworks_without_padding():
    of = model()
    kept = attention_maps(of, ENCODED, [2, 0])
    for one, pair in zip(kept, [2, 0], strict=True):
        length = int(ENCODED.lengths[pair])
        assert (one.shape, one.dtype) == ((2, 3, length, length), np.float16)
        np.testing.assert_allclose(one, framework_attention(of, pair), atol=1e-3)
