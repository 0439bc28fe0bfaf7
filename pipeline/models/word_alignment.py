"""Alignment of tokens with words: words of a text, and the word of each token of a sentence pair.

A run of letters and digits is a word, with the marks and joiners that it holds; a run of Chinese characters is cut into
words by jieba. Nothing else needs to be said about the language, and a text may mix both. Words of other languages that
are written without spaces are not found (`pipeline.data.scripts`). jieba and its dictionary are loaded by the first
Chinese text.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache, lru_cache

import numpy as np

from pipeline.core import paths
from pipeline.core.atomic import make_folder
from pipeline.data.deduplication import dense_ids, text_key
from pipeline.data.scripts import IN_WORD, JOINERS

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
RUN = re.compile(rf"(?P<han>[{HAN}]+)|(?![{HAN}])\w(?:(?![{JOINERS}]*[{HAN}])(?:{IN_WORD}))*")


def term_spans(text: str) -> list[tuple[int, int]]:
    """Start and end character of each word of the text, in its order."""
    spans = []
    for run in RUN.finditer(text):
        start = run.start()
        for word in [run[0]] if run["han"] is None else _segmenter()(run["han"]):
            spans.append((start, start + len(word)))
            start += len(word)
    return spans


def terms(text: str) -> list[str]:
    """The text's words, in its order, without case and in one normal form."""
    return [text_key(text[start:end]) for start, end in term_spans(text)]


@cache
def _segmenter() -> Callable[[str], Iterator[str]]:
    """jieba's cut, its dictionary's cache below the project's own folder instead of the shared temporary one.

    jieba writes the cache under a temporary name and renames it, and rebuilds one that it cannot read; it takes any
    that it can read, so the name holds its version.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in its source, and setuptools about pkg_resources
        import jieba
    jieba.setLogLevel(logging.CRITICAL)
    make_folder(paths.CACHE)
    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = str(paths.CACHE.resolve())
    tokenizer.cache_file = f"jieba-{jieba.__version__}.cache"
    return tokenizer.cut


def token_terms(texts: tuple[str, str], offsets: np.ndarray, segment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Word and term of each token of a pair.

    A token lies in the word that holds its first character other than white space: byte-level and SentencePiece
    tokens may begin with the space before the word.

    Args:
        texts: query and title.
        offsets: each token's start and end character in its own text, int [token, 2].
        segment: 0 query, 1 title, anything else a special token, int [token].

    Returns:
        word: number of the word, the query's from 0, then the title's, int64 [token]; -1 where there is none
            (special tokens, punctuation).
        key: the same number for all words of the pair that are equal but for case and normal form, int64 [token]; -1
            where there is no word.
    """
    word = np.full(len(segment), -1, dtype=np.int64)
    words: list[str] = []
    for side, text in enumerate(texts):
        tokens = np.flatnonzero(segment == side)
        word_at, terms = _words(text)
        start, end = offsets[tokens].T
        number, first = word_at[start].T
        inside = (first < end) & (number >= 0)
        word[tokens[inside]] = number[inside] + len(words)
        words.extend(terms)
    key = np.append(dense_ids(words), -1)
    return word, key[word]


@lru_cache(maxsize=2048)
def _words(text: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """By character, the word at the first non-space at or behind it (-1: none) and where that is; the terms' texts.

    int32 [character + 1, 2], the last row standing for the end of the text.
    """
    spans = term_spans(text)
    word = np.full(len(text) + 1, -1, dtype=np.int32)
    for number, (start, end) in enumerate(spans):
        word[start:end] = number
    solid = np.array([not character.isspace() for character in text] + [True])
    positions = np.where(solid, np.arange(len(text) + 1), len(text))
    following = np.minimum.accumulate(positions[::-1])[::-1]
    word_at = np.stack([word[following], following], axis=1).astype(np.int32)
    word_at.flags.writeable = False
    return word_at, tuple(text_key(text[start:end]) for start, end in spans)
