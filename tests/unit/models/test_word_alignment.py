"""Words of a text, and the word of each token for the tokenizer families in use."""

import itertools
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from pipeline.models.word_alignment import term_spans, terms, token_terms


def words(text):
    return [text[start:end] for start, end in term_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t", []),
        ("train from A to B", ["train", "from", "A", "to", "B"]),
        ("5-seat car, 2.0 (new)", ["5", "seat", "car", "2", "0", "new"]),
        ("cafe\u0301s öffnen", ["cafe\u0301s", "öffnen"]),
        ("北京大学在哪里", ["北京大学", "在", "哪里"]),
        ("iPhone手机 透明,防水", ["iPhone", "手机", "透明", "防水"]),
        ("买2024年日历", ["买", "2024", "年", "日历"]),
        ("𠮷野家", ["𠮷", "野家"]),
        ("हिन्दी किताबें पढ़ना", ["हिन्दी", "किताबें", "पढ़ना"]),  # vowel signs and viramas are marks
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("مُحَمَّدٌ رَسُولُ", ["مُحَمَّدٌ", "رَسُولُ"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("می\u200cروم کتاب\u200cها", ["می\u200cروم", "کتاب\u200cها"]),  # a non-joiner stands inside a word
        ("ක්\u200dෂණ x\u200d y", ["ක්\u200dෂණ", "x", "y"]),
        ("ภาษาไทย", ["ภาษาไทย"]),
        ("か\u3099くせい", ["か\u3099くせい"]),
        ("👩\u200d👩\u200d👧 ❤\ufe0f", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


mixed_text = st.text(st.sampled_from("ab Z9_-'.,北京大学的路线𠮷é\u0301 \u3000\n"), max_size=30)


@given(text=mixed_text | st.text(max_size=30))
@settings(max_examples=150, deadline=None)
def test_spans_are_ordered_apart_and_cover_every_letter_and_digit(text):
    spans = term_spans(text)
    assert all(start < end for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(place in covered for place, character in enumerate(text) if character.isalnum())
    assert not any(text[place].isspace() for place in covered)


CORPUS = ["cheap train from London to Leeds", "Leeds trains: times, prices", "买北京大学门票 cheap", "北京 门票价格"]


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=60, special_tokens=special))
    ends = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ends)
    return tokenizer


def byte_level():
    """Offsets here begin with the space before the word: nothing trims them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    return tokenizer


def sentence_piece():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=60, unk_token="<unk>"))
    return tokenizer


TOKENIZERS = {make.__name__: make() for make in (wordpiece, byte_level, sentence_piece)}


def encoded(tokenizer, query, title):
    encoding = tokenizer.encode(query, title)
    segment = [-1 if side is None else side for side in encoding.sequence_ids]
    return np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2), np.array(segment, dtype=np.int64)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(query=mixed_text, title=mixed_text)
@settings(max_examples=60, deadline=None)
def test_token_terms_against_one_token_at_a_time(name, query, title):
    offsets, segment = encoded(TOKENIZERS[name], query, title)
    word, key = token_terms((query, title), offsets, segment)

    spans = [[*span, side] for side, text in enumerate((query, title)) for span in term_spans(text)]
    for token, ((start, end), side) in enumerate(zip(offsets, segment, strict=True)):
        solid = [place for place in range(start, end) if side >= 0 and not (query, title)[side][place].isspace()]
        own = [n for n, (a, b, s) in enumerate(spans) if s == side and solid and a <= solid[0] < b]
        assert word[token] == (own[0] if own else -1)
    texts = [(query, title)[side][start:end].casefold() for start, end, side in spans]
    for one in range(len(word)):
        for other in range(len(word)):
            if word[one] >= 0 and word[other] >= 0:
                assert (key[one] == key[other]) == (texts[word[one]] == texts[word[other]])
    assert ((key == -1) == (word == -1)).all()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_same_term_across_query_and_title(name):
    query, title = "cheap Trains, 北京大学", "trains 北京大学 cheap"
    offsets, segment = encoded(TOKENIZERS[name], query, title)
    word, key = token_terms((query, title), offsets, segment)
    assert set(word[segment == 0]) - {-1} == {0, 1, 2}
    assert set(word[segment == 1]) - {-1} == {3, 4, 5}
    keys = [list(dict.fromkeys(key[(segment == side) & (key >= 0)].tolist())) for side in (0, 1)]
    assert keys == [[0, 1, 2], [1, 2, 0]]


def test_normal_forms_are_one_term():
    offsets = np.array([[0, 4], [0, 5]])
    _, key = token_terms(("café", "Cafe\u0301"), offsets, np.array([0, 1]))
    assert key.tolist() == [0, 0]
    assert terms("café") == terms("CAFE\u0301")


def test_special_tokens_and_truncated_titles():
    offsets = np.array([[0, 0], [0, 3], [0, 0], [0, 2], [2, 4], [0, 0]])
    word, key = token_terms(("red", "Reds cars"), offsets, np.array([-1, 0, -1, 1, 1, -1]))
    assert word.tolist() == [-1, 0, -1, 1, 1, -1]
    assert key.tolist() == [-1, 0, -1, 1, 1, -1]
    word, key = token_terms(("", ""), np.zeros((2, 2), int), np.array([-1, -1]))
    assert word.tolist() == key.tolist() == [-1, -1]


FIRST_USE = """
import sys
from pipeline.models.word_alignment import term_spans
term_spans("plain words")
assert "jieba" not in sys.modules
print(term_spans("北京大学在哪里"))
"""


def test_jieba_is_loaded_late_silently_and_by_several_processes_at_once(tmp_path):
    """A fresh cache, two processes: each gets its words, none says anything, and one file stays."""
    root = Path(__file__).parents[3]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_USE],
            cwd=tmp_path,
            env={"PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert {process.communicate() for process in started} == {("[(0, 4), (4, 5), (5, 7)]\n", "")}
    assert len(list((tmp_path / ".cache").iterdir())) == 1


def test_jieba_leaves_the_root_logger_alone():
    term_spans("北京")
    assert not logging.getLogger("jieba").isEnabledFor(logging.WARNING)
