"""Tokenization of pairs: encoded once, without padding; tokens as people read them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QUERY, TITLE, SPECIAL = 0, 1, -1


@dataclass(frozen=True)
class EncodedPairs:
    """Sentence pairs, their tokens laid end to end; pair i holds tokens ``starts[i]:starts[i + 1]``.

    Attributes:
        ids: vocabulary index, int64 [token].
        types: token type id as the model family wants it, int64 [token].
        segment: QUERY 0, TITLE 1 or SPECIAL -1, int8 [token].
        offsets: character span in its own text, int32 [token, 2]; (0, 0) for special tokens.
        starts: int64 [pair + 1].
        truncated: whether the pair was cut to max_length, bool [pair].
    """

    ids: np.ndarray
    types: np.ndarray
    segment: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    truncated: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each pair, int64 [pair]."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def tokens(self, pair: int) -> slice:
        """Slice of the pair on the token axis."""
        return slice(int(self.starts[pair]), int(self.starts[pair + 1]))

    def take(self, pairs: np.ndarray) -> "EncodedPairs":
        """Subset of the pairs by index, in this order."""
        tokens = np.concatenate([np.arange(self.starts[pair], self.starts[pair + 1]) for pair in pairs])
        return EncodedPairs(
            ids=self.ids[tokens],
            types=self.types[tokens],
            segment=self.segment[tokens],
            offsets=self.offsets[tokens],
            starts=np.concatenate([[0], np.cumsum(self.lengths[pairs])]),
            truncated=self.truncated[pairs],
        )

    def positions(self, pairs: np.ndarray) -> np.ndarray:
        """Indices along the token axis, int64 [pair, position], of pairs of one length."""
        return self.starts[pairs][:, None] + np.arange(self.lengths[pairs[0]])


def encode_pairs(
    tokenizer: "PreTrainedTokenizerFast", queries: list[str], titles: list[str], max_length: int
) -> EncodedPairs:
    """Encode each (query, title) as one sentence pair; the longer text is cut first where they exceed max_length."""
    batch = tokenizer(
        queries,
        titles,
        truncation="longest_first",
        max_length=max_length,
        return_offsets_mapping=True,
        return_overflowing_tokens=False,
    )
    encodings = batch.encodings
    assert encodings is not None, "a fast tokenizer is checked for where checkpoints are loaded"
    with_types = "token_type_ids" in batch
    ids = [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]
    return EncodedPairs(
        ids=np.concatenate(ids),
        types=np.concatenate([np.asarray(e.type_ids if with_types else [0] * len(e.ids)) for e in encodings]),
        segment=np.concatenate(
            [np.asarray([SPECIAL if s is None else s for s in e.sequence_ids], dtype=np.int8) for e in encodings]
        ),
        offsets=np.concatenate([np.asarray(encoding.offsets, dtype=np.int32) for encoding in encodings]),
        starts=np.concatenate([[0], np.cumsum([len(pair) for pair in ids])]),
        truncated=np.asarray([bool(encoding.overflowing) for encoding in encodings]),
    )


def encode_split(tokenizer: "PreTrainedTokenizerFast", split: pd.DataFrame, max_length: int) -> EncodedPairs:
    """`encode_pairs` of a table's columns query and title."""
    return encode_pairs(tokenizer, split["query"].tolist(), split["title"].tolist(), max_length)


def readable_tokens(
    tokenizer: "PreTrainedTokenizerFast", encoded: EncodedPairs, pair: int, texts: tuple[str, str]
) -> list[str]:
    """Readable tokens of a pair: WordPiece keeps its ##, byte-level pieces are decoded.

    A piece that is not a whole character (some bytes of one) is shown as the characters of `texts` it comes from.
    """
    span = encoded.tokens(pair)
    tokens = zip(
        encoded.ids[span].tolist(), encoded.segment[span].tolist(), encoded.offsets[span].tolist(), strict=True
    )
    return [_decoded(tokenizer, token) or texts[segment][start:end] for token, segment, (start, end) in tokens]


def _decoded(tokenizer: "PreTrainedTokenizerFast", token: int) -> str:
    piece = str(tokenizer.decode([token])).strip()
    return "" if "\N{REPLACEMENT CHARACTER}" in piece else piece
