"""Functions of heads: attention scores of each function, their chance level and controls.

For one pair of `length` tokens a function names targets, a set of keys for every query. A query counts where it has a
target, and only tokens of the query or the title are ever queries: special tokens never count. A head's score on the
pair is the mean, over the queries that count, of the attention that falls on their targets: 0..1, a share of a row.
Chance is the same for attention spread evenly over the pair, that is the mean of targets / length.

=============  =======================================  ====================================================
function       queries that count                       targets
=============  =======================================  ====================================================
term_match     tokens of a term that both texts hold    the same term's tokens in the other text
segmentation   tokens of words of two tokens or more    the other tokens of the query's own word
previous_term  tokens of words with a word before them  all tokens of the word before, in the same text
next_term      tokens of words with a word after them   all tokens of the word after, in the same text
self           every token of a text                    the query itself
cls            every token of a text                    [CLS]
sep            every token of a text                    every [SEP]
cross_text     every token, where both texts have some  every token of the other text, punctuation included
=============  =======================================  ====================================================

Tokens in no word (punctuation) count for the last four only, and previous and next step over them. `entropy` has no
targets: it is the mean, over every token of a text, of the row's entropy divided by log(length), the entropy of uniform
attention, so its chance is 1 and 0 means that each row falls on one key.

A pair in which no query counts leaves the function undefined: NaN for that pair, which means over pairs leave out.

Each function has a control, in which it should vanish where the head does what the function says and nothing else:

- term_match: the same score on the pair with the shared terms of its title replaced (`counterfactuals.replace_terms`).
- segmentation: attention to tokens of other words of the same text, as far away as the tokens of the own word and as
  often: what a head that reads its neighbours, whatever the word, would score as well.
- previous_term, next_term: the mean attention to a term at another offset in the same text, the own one left out.
- self, cls, sep, cross_text: chance.
- entropy: the threshold from which a head is called broad.

Attention alone does not show that a head acts: one that writes nothing may look like any other. So each function has a
**relative write** too, the norm-weighted attention on the targets (`norm_weighting`) over the attention on them: 1
where the head writes from them what an average head of its layer writes with as much attention, 0 where it is idle. For
entropy every key is a target.

The quantities follow Clark et al. 2019 (arXiv 1906.04341, attention to the next and previous token, [SEP], entropy),
carried from tokens to words and from one text to a pair.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.models.tokenization import SPECIAL, EncodedPairs
from pipeline.models.word_alignment import token_terms

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TARGETED = ("term_match", "segmentation", "previous_term", "next_term", "self", "cls", "sep", "cross_text")
FUNCTIONS = (*TARGETED, "entropy")
# Functions whose control is other targets under the same attention, and the one whose control is another input.
RETARGETED = ("segmentation", "previous_term", "next_term")
REPLACED = "term_match"


@dataclass(frozen=True)
class Tokens:
    """Tokens of a pair as input of the functions; every array is [token].

    Attributes:
        word: index of the token's word, unique over the pair and rising along each text; -1 in no word.
        key: equal for tokens whose words are the same term, whichever text they are in; -1 in no word.
        segment: 0 in the query, 1 in the title, negative for special tokens.
        cls: whether the token is [CLS].
        sep: whether the token is a [SEP].
    """

    word: np.ndarray
    key: np.ndarray
    segment: np.ndarray
    cls: np.ndarray
    sep: np.ndarray

    @property
    def text(self) -> np.ndarray:
        """Whether the token belongs to the query or the title."""
        return self.segment >= 0


def pair_tokens(tokenizer: "PreTrainedTokenizerFast", encoded: EncodedPairs, table: pd.DataFrame) -> list[Tokens]:
    """Tokens of each pair with their words and terms; a special token's name inside a text is text."""
    tokens = []
    for pair, texts in enumerate(zip(table["query"], table["title"], strict=True)):
        span = encoded.tokens(pair)
        ids, segment = encoded.ids[span], encoded.segment[span]
        word, key = token_terms(texts, encoded.offsets[span], segment)
        cls, sep = ((segment == SPECIAL) & (ids == name) for name in (tokenizer.cls_token_id, tokenizer.sep_token_id))
        tokens.append(Tokens(word, key, segment, cls, sep))
    return tokens


def targets(tokens: Tokens) -> np.ndarray:
    """Attention targets of each of TARGETED, by the module's table: bool [function, query, key]."""
    text, in_word = tokens.text, tokens.word >= 0
    text_pairs = text[:, None] & text[None, :]
    word_pairs = in_word[:, None] & in_word[None, :]
    same_text = text_pairs & (tokens.segment[:, None] == tokens.segment[None, :])
    other_text = text_pairs & ~same_text
    step = _steps(tokens.word)
    itself = np.eye(len(text), dtype=bool)
    by_name = {
        "term_match": word_pairs & other_text & (tokens.key[:, None] == tokens.key[None, :]),
        "segmentation": word_pairs & (step == 0) & ~itself,
        "previous_term": word_pairs & same_text & (step == -1),
        "next_term": word_pairs & same_text & (step == 1),
        "self": text_pairs & itself,
        "cls": text[:, None] & tokens.cls[None, :],
        "sep": text[:, None] & tokens.sep[None, :],
        "cross_text": other_text,
    }
    return np.stack([by_name[name] for name in TARGETED])


def _steps(word: np.ndarray) -> np.ndarray:
    """Distance in words from query to key, [query, key]; a word without tokens (truncated, unknown) is not a step."""
    rank = np.unique(word, return_inverse=True)[1]
    return rank[None, :] - rank[:, None]


def mass_weights(targets: np.ndarray) -> np.ndarray:
    """Weights of attention [query, key] whose weighted sum is the score: float32 [query, key, function].

    Args:
        targets: bool [function, query, key].

    Returns:
        1 / queries that count on the targets and 0 elsewhere; NaN throughout where no query counts.
    """
    counting = targets.any(axis=2).sum(axis=1)
    with np.errstate(invalid="ignore"):
        weights = targets / counting[:, None, None]
    return np.moveaxis(weights, 0, -1).astype(np.float32)


def target_weights(tokens: Tokens) -> np.ndarray:
    """`mass_weights` of the targets of TARGETED: float32 [query, key, function]."""
    return mass_weights(targets(tokens))


def control_weights(tokens: Tokens) -> np.ndarray:
    """`mass_weights` of the controls of RETARGETED: float32 [query, key, function]."""
    return np.stack([_other_words(tokens), _other_offsets(tokens, -1), _other_offsets(tokens, 1)], axis=-1)


def written_weights(tokens: Tokens) -> np.ndarray:
    """`mass_weights` of what counts as written, for FUNCTIONS: float32 [query, key, function].

    On the targets; a broad head writes from every key.
    """
    every_key = np.broadcast_to(tokens.text[:, None], (len(tokens.text),) * 2)
    return mass_weights(np.concatenate([targets(tokens), every_key[None]]))


def _other_words(tokens: Tokens) -> np.ndarray:
    """Weights [query, key] of segmentation's control: attention to other words, as far away as the own word's tokens.

    At every distance at which own words have a token, in tokens and either way, the mean attention to tokens of other
    words of the same text; each distance counts as often as own words have it. NaN where other words have none of them.
    """
    own = targets(tokens)[TARGETED.index("segmentation")]
    step, in_word = _steps(tokens.word), tokens.word >= 0
    same_text = in_word[:, None] & in_word[None, :] & (tokens.segment[:, None] == tokens.segment[None, :])
    others = same_text & (step != 0)
    place = np.arange(len(in_word))
    distance = place[None, :] - place[:, None] + len(place)
    counts, available = (np.bincount(distance[pairs], minlength=2 * len(place)) for pairs in (own, others))
    shared = np.where(available > 0, counts, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_distance = shared / np.maximum(available, 1) * counts.sum() / shared.sum() / own.any(axis=1).sum()
        return np.where(others, by_distance[distance], np.nan if not shared.any() else 0).astype(np.float32)


def _other_offsets(tokens: Tokens, offset: int) -> np.ndarray:
    """Weights [query, key] of the mean attention to a term of the same text at neither this offset nor 0.

    Queries without a term at this offset do not count, nor those without another.
    """
    step = _steps(tokens.word)
    in_word = tokens.word >= 0
    same_text = in_word[:, None] & in_word[None, :] & (tokens.segment[:, None] == tokens.segment[None, :])
    others = same_text & (step != 0) & (step != offset)
    terms = np.array([len(np.unique(tokens.word[row])) for row in others])
    counting = (same_text & (step == offset)).any(axis=1) & (terms > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(counting[:, None] & others, 1 / terms[:, None], 0) / counting.sum()
    return weights.astype(np.float32)


def entropy_weights(tokens: Tokens) -> np.ndarray:
    """Weights of the entropy of attention rows for the score, float32 [query], NaN without text."""
    with np.errstate(invalid="ignore"):
        return (tokens.text / (tokens.text.sum() * np.log(len(tokens.text)))).astype(np.float32)


def weights(tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a pair for FUNCTIONS: its `target_weights` and its `entropy_weights`."""
    return target_weights(tokens), entropy_weights(tokens)


def chance(mass: np.ndarray, entropy: np.ndarray) -> np.ndarray:
    """Chance level of a pair, its scores under uniform attention: float32 [function], entropy last."""
    length = len(entropy)
    return np.append(mass.sum(axis=(0, 1)) / length, entropy.sum() * np.log(length)).astype(np.float32)
