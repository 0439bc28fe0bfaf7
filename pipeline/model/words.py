"""Texts as word numbers, for a model that learns its own word vectors."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from pipeline.corpus.terms import term_spans

PADDING, UNKNOWN = 0, 1
SPECIAL = ("[PAD]", "[UNK]")  # no word holds a bracket
MIN_COUNT = 2  # words seen once stand for the unknown one, which is trained on them


@dataclass(frozen=True)
class WordPairs:
    """Query-title pairs, each text a row of word numbers: int64 [word], one word at least."""

    queries: list[torch.Tensor]
    titles: list[torch.Tensor]

    def __len__(self) -> int:
        return len(self.queries)

    def batch(self, pairs: Iterable[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries and titles of these pairs, int64 [pair, word] each, padded at the right to the longest."""
        chosen = list(pairs)
        return _padded([self.queries[pair] for pair in chosen]), _padded([self.titles[pair] for pair in chosen])


def build_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Word -> number, for the words seen `MIN_COUNT` times; the padding and the unknown word come first."""
    counts = Counter(word for text in texts for word in _words(text))
    known = sorted(word for word, count in counts.items() if count >= MIN_COUNT)
    return {word: number for number, word in enumerate([*SPECIAL, *known])}


def encode_words(vocabulary: dict[str, int], queries: Iterable[str], titles: Iterable[str]) -> WordPairs:
    """The pairs in word numbers. A text without any word is one unknown word, as an LSTM needs a step at least."""
    return WordPairs([_encode(vocabulary, text) for text in queries], [_encode(vocabulary, text) for text in titles])


def _encode(vocabulary: dict[str, int], text: str) -> torch.Tensor:
    return torch.tensor([vocabulary.get(word, UNKNOWN) for word in _words(text)] or [UNKNOWN])


def _words(text: str) -> list[str]:
    return [text[start:end].casefold() for start, end in term_spans(text)]


def _padded(texts: list[torch.Tensor]) -> torch.Tensor:
    return pad_sequence(texts, batch_first=True, padding_value=PADDING)
