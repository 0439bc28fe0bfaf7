"""A pair's tokens as the head functions see them: words, terms, texts and special tokens."""

import pandas as pd
from transformers import PreTrainedTokenizerFast

from pipeline.attention.head_functions import Tokens
from pipeline.models.tokenization import SPECIAL, EncodedPairs
from pipeline.models.word_alignment import token_terms


def pair_tokens(tokenizer: PreTrainedTokenizerFast, encoded: EncodedPairs, table: pd.DataFrame) -> list[Tokens]:
    """Each pair's tokens with their words and terms; a special token's name inside a text is text."""
    tokens = []
    for pair, texts in enumerate(zip(table["query"], table["title"], strict=True)):
        span = encoded.tokens(pair)
        ids, segment = encoded.ids[span], encoded.segment[span]
        word, key = token_terms(texts, encoded.offsets[span], segment)
        cls, sep = ((segment == SPECIAL) & (ids == one) for one in (tokenizer.cls_token_id, tokenizer.sep_token_id))
        tokens.append(Tokens(word, key, segment, cls, sep))
    return tokens
