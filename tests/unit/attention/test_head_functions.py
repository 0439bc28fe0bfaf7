"""Head functions against targets and attention worked by hand, and against the definitions spelled out in loops."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from pipeline.attention.head_functions import FUNCTIONS, TARGETED, Tokens, chance, pair_tokens, targets, weights
from pipeline.models.tokenization import encode_split

# [CLS] red silk dress [SEP] dress , ele ##gant [SEP]
SENTENCE = Tokens(
    word=np.array([-1, 0, 1, 2, -1, 3, -1, 4, 4, -1]),
    key=np.array([-1, 0, 1, 2, -1, 2, -1, 3, 3, -1]),
    segment=np.array([-1, 0, 0, 0, -1, 1, 1, 1, 1, -1]),
    cls=np.arange(10) == 0,
    sep=np.isin(np.arange(10), [4, 9]),
)
TEXT = [1, 2, 3, 5, 6, 7, 8]
BY_HAND = {
    "term_match": {3: [5], 5: [3]},
    "segmentation": {7: [8], 8: [7]},
    "previous_term": {2: [1], 3: [2], 7: [5], 8: [5]},
    "next_term": {1: [2], 2: [3], 5: [7, 8]},
    "self": {token: [token] for token in TEXT},
    "cls": {token: [0] for token in TEXT},
    "sep": {token: [4, 9] for token in TEXT},
    "cross_text": {1: [5, 6, 7, 8], 2: [5, 6, 7, 8], 3: [5, 6, 7, 8]} | {token: [1, 2, 3] for token in [5, 6, 7, 8]},
}
UNIFORM_BY_HAND = {
    "term_match": 1 / 10,
    "segmentation": 1 / 10,
    "previous_term": 1 / 10,
    "next_term": (1 + 1 + 2) / 3 / 10,
    "self": 1 / 10,
    "cls": 1 / 10,
    "sep": 2 / 10,
    "cross_text": (3 * 4 + 4 * 3) / 7 / 10,
    "entropy": 1,
}


def scored(attention: np.ndarray, tokens: Tokens) -> dict[str, float]:
    mass, rows = weights(tokens)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(attention * np.log(attention), axis=1)
    values = [*np.einsum("qk,qkf->f", attention, mass), entropy @ rows]
    return dict(zip(FUNCTIONS, values, strict=True))


def one_hot(keys: list[int]) -> np.ndarray:
    return np.eye(len(keys))[keys]


@pytest.mark.parametrize("name", TARGETED)
def test_targets_by_hand(name):
    expected = np.zeros((10, 10), dtype=bool)
    for query, keys in BY_HAND[name].items():
        expected[query, keys] = True
    np.testing.assert_array_equal(targets(SENTENCE)[TARGETED.index(name)], expected)


def test_uniform_attention_and_chance_by_hand():
    assert scored(np.full((10, 10), 0.1), SENTENCE) == pytest.approx(UNIFORM_BY_HAND)
    assert dict(zip(FUNCTIONS, chance(*weights(SENTENCE)), strict=True)) == pytest.approx(UNIFORM_BY_HAND)


def test_identity_is_self_alone():
    assert scored(np.eye(10), SENTENCE) == pytest.approx(dict.fromkeys(FUNCTIONS, 0) | {"self": 1})


def test_attention_to_the_previous_term():
    #                [CLS] red silk dress [SEP] dress , ele ##gant [SEP]
    previous = one_hot([0, 4, 1, 2, 4, 4, 4, 5, 5, 4])
    # red, dress and the comma have no term to look back at, and rest on [SEP].
    expected = dict.fromkeys(FUNCTIONS, 0) | {"previous_term": 1, "sep": 3 / 7}
    assert scored(previous, SENTENCE) == pytest.approx(expected)


def test_a_term_match_that_is_half_sure():
    attention = one_hot([0] * 10)
    attention[3] = attention[5] = 0
    attention[3, [5, 0]] = 0.5
    attention[5, [3, 0]] = [0.25, 0.75]
    scores = scored(attention, SENTENCE)
    assert scores["term_match"] == pytest.approx((0.5 + 0.25) / 2)
    assert scores["cls"] == pytest.approx((5 + 0.5 + 0.75) / 7)
    assert scores["entropy"] == pytest.approx((np.log(2) + 0.25 * np.log(4) + 0.75 * np.log(4 / 3)) / 7 / np.log(10))


def test_a_dropped_word_is_no_step():
    truncated = Tokens(
        word=np.array([-1, 0, 2, -1, -1]),  # word 1 has no token
        key=np.array([-1, 0, 2, -1, -1]),
        segment=np.array([-1, 0, 0, -1, -1]),
        cls=np.arange(5) == 0,
        sep=np.arange(5) > 2,
    )
    assert targets(truncated)[TARGETED.index("next_term"), 1, 2]


def test_without_text_everything_is_undefined():
    nothing = np.array([-1, -1, -1])
    empty = Tokens(word=nothing, key=nothing, segment=nothing, cls=np.arange(3) == 0, sep=np.arange(3) > 0)
    assert np.isnan(chance(*weights(empty))).all()
    assert np.isnan(list(scored(np.full((3, 3), 1 / 3), empty).values())).all()


# A text is a list of units: a term, or None for punctuation, and the number of its tokens.
UNITS = st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 4)), st.integers(1, 3)), max_size=5)


@st.composite
def pairs(draw) -> Tokens:
    word, key, segment = [-1], [-1], [-1]
    words = 0
    for index in (0, 1):
        for term, size in draw(UNITS):
            word += [-1 if term is None else words] * size
            key += [-1 if term is None else term] * size
            segment += [index] * size
            words += term is not None
        word, key, segment = [*word, -1], [*key, -1], [*segment, -1]
    special = np.array(segment) == -1
    first = np.arange(len(word)) == 0
    return Tokens(np.array(word), np.array(key), np.array(segment), first, special & ~first)


def hits(name: str, tokens: Tokens, query: int, key: int) -> bool:
    """The definition of one function, for one query and one key, token by token."""
    words, segments = tokens.word.tolist(), tokens.segment.tolist()
    if segments[query] == -1:
        return False
    both_words = words[query] >= 0 and words[key] >= 0
    match name:
        case "term_match":
            return both_words and segments[query] != segments[key] and tokens.key[query] == tokens.key[key]
        case "segmentation":
            return both_words and words[query] == words[key] and query != key
        case "previous_term":
            return both_words and segments[query] == segments[key] and words[key] == words[query] - 1
        case "next_term":
            return both_words and segments[query] == segments[key] and words[key] == words[query] + 1
        case "self":
            return query == key
        case "cls":
            return bool(tokens.cls[key])
        case "sep":
            return bool(tokens.sep[key])
        case "cross_text":
            return segments[key] == 1 - segments[query]
    raise AssertionError(name)


@settings(deadline=None)
@given(pairs())
def test_targets_equal_the_definitions(tokens):
    length = range(len(tokens.word))
    expected = [[[hits(name, tokens, query, key) for key in length] for query in length] for name in TARGETED]
    np.testing.assert_array_equal(targets(tokens), expected)


@settings(deadline=None)
@given(pairs())
def test_uniform_attention_scores_chance(tokens):
    length = len(tokens.word)
    scores = list(scored(np.full((length, length), 1 / length), tokens).values())
    np.testing.assert_allclose(scores, chance(*weights(tokens)), rtol=1e-5)


@settings(deadline=None)
@given(pairs(), st.integers(0, 2**32 - 1))
def test_scores_are_the_mean_over_counting_rows(tokens, seed):
    length = len(tokens.word)
    attention = np.random.default_rng(seed).dirichlet(np.full(length, 0.3), size=length)
    scores = scored(attention, tokens)
    for name in TARGETED:
        mask = [[hits(name, tokens, query, key) for key in range(length)] for query in range(length)]
        rows = [attention[query][wanted].sum() for query, wanted in enumerate(np.array(mask)) if wanted.any()]
        assert scores[name] == pytest.approx(np.mean(rows), abs=1e-6) if rows else np.isnan(scores[name])
        assert np.isnan(scores[name]) or 0 <= scores[name] <= 1 + 1e-6
    assert np.isnan(scores["entropy"]) or 0 <= scores["entropy"] <= 1 + 1e-6


@settings(deadline=None)
@given(pairs(), st.integers(0, 2**32 - 1))
def test_decided_rows_have_no_entropy(tokens, seed):
    length = len(tokens.word)
    decided = one_hot(np.random.default_rng(seed).integers(length, size=length).tolist())
    assert scored(decided, tokens)["entropy"] == 0 or not tokens.text.any()


def roberta_tokenizer() -> PreTrainedTokenizerFast:
    words = ["<s>", "<pad>", "</s>", "<unk>", "red", "silk", "dress"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", pad_token="<pad>")


@pytest.mark.parametrize(
    ("max_length", "segment", "matched"),
    [
        (32, [-1, 0, 0, -1, -1, 1, 1, -1], {2: [5], 5: [2]}),
        (6, [-1, 0, -1, -1, 1, -1], {}),  # the query's second word is cut, and with it the match
    ],
)
def test_two_separators_between_the_texts_as_roberta_has_them(max_length, segment, matched):
    """<s> red dress </s> </s> dress silk </s>, whole and cut."""
    table, tokenizer = pd.DataFrame({"query": ["red dress"], "title": ["dress silk"]}), roberta_tokenizer()
    encoded = encode_split(tokenizer, table, max_length)
    (tokens,) = pair_tokens(tokenizer, encoded, table)
    assert tokens.segment.tolist() == segment
    assert np.flatnonzero(tokens.cls).tolist() == [0]
    assert np.flatnonzero(tokens.sep).tolist() == [token for token, text in enumerate(segment) if token and text < 0]
    matches = targets(tokens)[TARGETED.index("term_match")]
    assert {token: np.flatnonzero(row).tolist() for token, row in enumerate(matches) if row.any()} == matched
    assert encoded.truncated.tolist() == [max_length == 6]
