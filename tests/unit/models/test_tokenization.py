"""Tokens as people read them, of both kinds of tokenizers."""

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from pipeline.models.tokenization import EncodedPairs, readable_tokens


def wordpiece(*more: str) -> PreTrainedTokenizerFast:
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "red", "dress", "##es", *more]
    tokenizer = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]")


def bytes_level() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({piece: index for index, piece in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def one_pair(ids: list[int], segment: list[int], offsets: list[tuple[int, int]]) -> EncodedPairs:
    return EncodedPairs(
        ids=np.array(ids),
        types=np.zeros(len(ids), dtype=np.int64),
        segment=np.array(segment),
        offsets=np.array(offsets),
        starts=np.array([0, len(ids)]),
        truncated=np.array([False]),
    )


def test_wordpieces_are_shown_as_the_model_saw_them():
    encoded = one_pair(
        [1, 4, 3, 2, 5, 6, 2], [-1, 0, 0, -1, 1, 1, -1], [(0, 0), (0, 3), (4, 5), (0, 0), (0, 5), (5, 7), (0, 0)]
    )
    shown = readable_tokens(wordpiece(), encoded, 0, ("Red ☃", "dresses"))
    assert shown == ["[CLS]", "red", "[UNK]", "[SEP]", "dress", "##es", "[SEP]"]


def test_byte_level_pieces_are_decoded_and_parts_of_characters_shown_whole():
    tokenizer = bytes_level()
    batch = tokenizer("é a", return_offsets_mapping=True)
    encoded = one_pair(batch["input_ids"], [1] * 4, batch["offset_mapping"])
    assert readable_tokens(tokenizer, encoded, 0, ("", "é a")) == ["é", "é", " ", "a"]
