"""Tokenization of pairs: encoded once without padding, then batched by length."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
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
    tokenizer: PreTrainedTokenizerFast, queries: list[str], titles: list[str], max_length: int
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


def encode_split(tokenizer: PreTrainedTokenizerFast, split: pd.DataFrame, max_length: int) -> EncodedPairs:
    """`encode_pairs` of a table's columns query and title."""
    return encode_pairs(tokenizer, split["query"].tolist(), split["title"].tolist(), max_length)


def length_batches(lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Batches of pair indices of similar length, at most `max_tokens` with padding (a longer pair goes alone)."""
    order = np.argsort(lengths, kind="stable")[::-1]
    start = 0
    while start < len(order):
        size = max(1, max_tokens // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


def collate(encoded: EncodedPairs, pairs: np.ndarray, pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Collate pairs as model inputs [pair, position], padded at the right to the longest of them."""
    lengths = encoded.lengths[pairs]
    filled = np.arange(lengths.max())[None, :] < lengths[:, None]
    source = np.concatenate([np.arange(encoded.starts[pair], encoded.starts[pair + 1]) for pair in pairs])
    ids = np.full(filled.shape, pad_id, dtype=np.int64)
    types = np.zeros(filled.shape, dtype=np.int64)
    ids[filled] = encoded.ids[source]
    types[filled] = encoded.types[source]
    return {
        "input_ids": torch.from_numpy(ids).to(device),
        "token_type_ids": torch.from_numpy(types).to(device),
        "attention_mask": torch.from_numpy(filled.astype(np.int64)).to(device),
    }
