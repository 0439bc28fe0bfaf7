"""Models whose truth is known because it was planted: which heads match, which read, and pairs they grade right.

How the heads work stands in `tests.planted_weights`. Their places, all noise and the pairs come from the seed.
"""

from dataclasses import dataclass

import numpy as np
from transformers import BertForSequenceClassification, BertTokenizer

from pipeline.model.encoding import Encoded, encode
from tests.planted_weights import (
    HEADS,
    LAYERS,
    MAX_LENGTH,
    SPECIAL_TOKENS,
    TERMS,
    WORDS,
    Head,
    Plant,
    build,
    gazing_head,
    reader_head,
)

TITLES = 5  # of one query
TITLE_WORDS = (4, 8)


@dataclass(frozen=True)
class Planted:
    """A model, pairs, and what is true of both.

    Attributes:
        model: a classifier of TERMS + 1 grades, in eval mode with eager attention.
        tokenizer: each word of the texts is one of its tokens.
        pairs: the texts, encoded.
        queries, titles: texts [pair].
        grades: query terms that the title holds, 0 to TERMS, int64 [pair].
        query_ids: equal for pairs of one query, int64 [pair].
        matchers: the (layer, head)s, all of one low layer, that look to the same word in the other text.
        readers: the (layer, head)s of the upper half that bring [CLS] the share of matched query terms.
    """

    model: BertForSequenceClassification
    tokenizer: BertTokenizer
    pairs: Encoded
    queries: list[str]
    titles: list[str]
    grades: np.ndarray
    query_ids: np.ndarray
    matchers: tuple[Head, ...]
    readers: tuple[Head, ...]


def planted(seed: int, pairs: int = 400) -> Planted:
    """One matcher, one reader: without either the model knows nothing."""
    return _plant(seed, pairs, matchers=1, readers=1)


def planted_redundant(seed: int, pairs: int = 400) -> Planted:
    """Two matchers of one layer, either of which suffices, and one reader."""
    return _plant(seed, pairs, matchers=2, readers=1)


def planted_two_paths(seed: int, pairs: int = 400) -> Planted:
    """One matcher and two readers, each of which carries half of the answer, whatever the other does."""
    return _plant(seed, pairs, matchers=1, readers=2)


def planted_gaze(seed: int, pairs: int = 400) -> Planted:
    """One matcher, one reader whose attention follows what is matched; its grades are right less often."""
    return _plant(seed, pairs, matchers=1, readers=1, reader=gazing_head)


def mask_of(heads: tuple[Head, ...]) -> np.ndarray:
    """The mask [layer, head] that takes these heads away."""
    mask = np.ones((LAYERS, HEADS))
    for layer, head in heads:
        mask[layer, head] = 0
    return mask


def _plant(seed: int, pairs: int, matchers: int, readers: int, reader: Plant = reader_head) -> Planted:
    rng = np.random.default_rng(seed)
    low = int(rng.integers(LAYERS // 2))
    matching = tuple((low, int(head)) for head in rng.choice(HEADS, matchers, replace=False))
    places = rng.choice(np.arange(LAYERS // 2 * HEADS, LAYERS * HEADS), readers, replace=False)
    reading = tuple(divmod(int(place), HEADS) for place in places)
    model = build(rng, matching, reading, reader)  # before the pairs, so that it is the same for any number of them
    tokenizer = BertTokenizer(vocab={token: index for index, token in enumerate([*SPECIAL_TOKENS, *WORDS])})
    query_ids, grades = np.arange(pairs) // TITLES, rng.integers(0, TERMS + 1, pairs)
    queries, titles = _texts(rng, query_ids, grades)
    return Planted(
        model=model,
        tokenizer=tokenizer,
        pairs=encode(tokenizer, queries, titles, MAX_LENGTH),
        queries=queries,
        titles=titles,
        grades=grades,
        query_ids=query_ids,
        matchers=matching,
        readers=reading,
    )


def _texts(rng: np.random.Generator, query_ids: np.ndarray, grades: np.ndarray) -> tuple[list[str], list[str]]:
    """Queries and titles [pair] of different words, the title holding as many words of the query as its grade says."""
    terms = [rng.permutation(WORDS) for _ in range(query_ids.max() + 1)]
    titles = []
    for query, grade in zip(query_ids, grades, strict=True):
        shared = rng.choice(terms[query][:TERMS], grade, replace=False)
        other = rng.choice(terms[query][TERMS:], rng.integers(*TITLE_WORDS, endpoint=True) - grade, replace=False)
        titles.append(" ".join(rng.permutation([*shared, *other])))
    return [" ".join(terms[query][:TERMS]) for query in query_ids], titles
