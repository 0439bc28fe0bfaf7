"""Counterfactual pairs, which show what a head's attention depends on: shared terms replaced, words shuffled.

Lengths stay as they are.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.attention.head_functions import Tokens

NEAREST = 10  # terms of the nearest frequency, one of which is drawn

Pieces = tuple[int, ...]


def replace_terms(ids: Sequence[np.ndarray], tokens: Sequence[Tokens], seed: int) -> list[np.ndarray]:
    """Replace every term of the title that is also in the query by a term of neither text.

    The substitute has as many pieces, and is drawn from the terms of the nearest frequency in these pairs; a term that
    occurs twice is replaced alike. Segments, words and positions are unchanged.

    Args:
        ids: vocabulary indices [token] of each pair.
        tokens: its tokens.

    Returns:
        Changed ids of each pair; of a pair without shared terms, or without a substitute for one, the ids themselves.
    """
    terms = [_terms(pair_ids, pair_tokens) for pair_ids, pair_tokens in zip(ids, tokens, strict=True)]
    counts = Counter(pieces for pair in terms for pieces in set(pair.values()))
    by_size: dict[int, list[Pieces]] = defaultdict(list)
    for pieces in sorted(counts, key=lambda pieces: (counts[pieces], pieces)):
        by_size[len(pieces)].append(pieces)
    rank = {pieces: number for same_size in by_size.values() for number, pieces in enumerate(same_size)}
    rng = np.random.default_rng([seed, 5])
    changed = []
    for pair_ids, pair_tokens, pair_terms in zip(ids, tokens, terms, strict=True):
        result, taken = pair_ids.copy(), set(pair_terms.values())
        for word in _shared_title_words(pair_tokens):
            pieces = pair_terms[word]
            substitutes = _nearest(by_size[len(pieces)], rank[pieces], taken)
            if not substitutes:
                result = pair_ids
                break
            chosen = substitutes[rng.integers(len(substitutes))]
            taken.add(chosen)
            for same in _same_term(pair_tokens, word):
                result[pair_tokens.word == same] = chosen
        changed.append(result)
    return changed


def _terms(ids: np.ndarray, tokens: Tokens) -> dict[int, Pieces]:
    """Pieces of each word."""
    return {word: tuple(ids[tokens.word == word].tolist()) for word in np.unique(tokens.word).tolist() if word >= 0}


def _shared_title_words(tokens: Tokens) -> list[int]:
    """The first word in the title of each term that the query holds too."""
    queried, title = set(tokens.key[(tokens.segment == 0) & (tokens.key >= 0)].tolist()), tokens.segment == 1
    first: dict[int, int] = {}
    for key, word in zip(tokens.key[title].tolist(), tokens.word[title].tolist(), strict=True):
        if key in queried:
            first.setdefault(key, word)
    return list(first.values())


def _same_term(tokens: Tokens, word: int) -> list[int]:
    """The title's words of the same term and as many pieces."""
    size, key = (tokens.word == word).sum(), tokens.key[tokens.word == word][0]
    words = np.unique(tokens.word[(tokens.segment == 1) & (tokens.key == key)])
    return [int(other) for other in words if (tokens.word == other).sum() == size]


def _nearest(candidates: list[Pieces], rank: int, taken: set[Pieces]) -> list[Pieces]:
    """Up to NEAREST candidates, none of them taken, around a rank in their order of frequency."""
    around = range(max(0, rank - 3 * NEAREST), min(len(candidates), rank + 3 * NEAREST))
    order = sorted(around, key=lambda i: abs(i - rank))
    return [candidates[i] for i in order if candidates[i] not in taken][:NEAREST]


def shuffle_terms(
    ids: Sequence[np.ndarray], tokens: Sequence[Tokens], seed: int
) -> tuple[list[np.ndarray], list[Tokens]]:
    """Shuffle the words of each text, tokens in no word where they are between the words."""
    rng = np.random.default_rng([seed, 6])
    orders = [_shuffled(pair_tokens, rng) for pair_tokens in tokens]
    shuffled = [_reordered(pair_tokens, order) for pair_tokens, order in zip(tokens, orders, strict=True)]
    return [pair_ids[order] for pair_ids, order in zip(ids, orders, strict=True)], shuffled


def _shuffled(tokens: Tokens, rng: np.random.Generator) -> np.ndarray:
    """A new order of the tokens [token] that keeps words whole and in their text."""
    same_word = (tokens.word[1:] == tokens.word[:-1]) & (tokens.word[1:] >= 0)
    units = np.split(np.arange(len(tokens.word)), 1 + np.flatnonzero(~same_word))  # words, and tokens in no word
    for side in (0, 1):
        words = [i for i, unit in enumerate(units) if tokens.segment[unit[0]] == side and tokens.word[unit[0]] >= 0]
        moved = [units[i] for i in rng.permutation(words)] if words else []
        for index, unit in zip(words, moved, strict=True):
            units[index] = unit
    return np.concatenate(units)


def _reordered(tokens: Tokens, order: np.ndarray) -> Tokens:
    """Reorder the tokens, with their words renumbered."""
    word = tokens.word[order]
    inside = word >= 0
    first = np.append(True, word[1:] != word[:-1]) & inside
    return replace(tokens, word=np.where(inside, np.cumsum(first) - 1, -1), key=tokens.key[order])
