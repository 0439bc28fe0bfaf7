"""Randomly initialised small BERT with a vocabulary from the training texts, reproducible on every machine.

The tokenizers library's own WordPiece trainer gives another vocabulary every time; this one counts and sorts.
"""

from collections import Counter

from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from pipeline.core.config import Scratch
from pipeline.models.classifier_labels import name_outputs

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUATION = "##"


def build_scratch(
    scratch: Scratch, max_length: int, outputs: list[str], texts: list[str]
) -> tuple[BertForSequenceClassification, BertTokenizer]:
    """Build a BERT with random weights, and its tokenizer.

    Args:
        scratch: layers, heads, hidden size, and tokens at most.
        max_length: tokens of the longest pair.
        outputs: names of the classifier's outputs, in this order.
        texts: what the vocabulary is built from.

    Returns:
        The model, drawn from torch's random state, and the tokenizer.
    """
    vocabulary = build_wordpiece_vocabulary(texts, scratch.vocabulary)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=scratch.hidden,
        num_hidden_layers=scratch.layers,
        num_attention_heads=scratch.heads,
        intermediate_size=4 * scratch.hidden,
        max_position_embeddings=max_length,
        # BERT's 0.02 suits 768 dimensions; smaller models learn slowly from weights so small.
        initializer_range=scratch.hidden**-0.5,
    )
    name_outputs(config, outputs)
    return BertForSequenceClassification(config), BertTokenizer(vocab=vocabulary, model_max_length=max_length)


def build_wordpiece_vocabulary(texts: list[str], size: int) -> dict[str, int]:
    """Build a WordPiece vocabulary of at most `size` tokens, token -> index.

    In this order, each by falling frequency, ties by code point: special tokens; characters, also as continuations
    where words hold them, so that every word of known characters can be spelled; words seen twice or more.
    Where the characters alone exceed `size`, the rarest are left out.
    """
    words = Counter(word for text in texts for word in _words(text))
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    spelling = [form for character in _by_frequency(characters) for form in _forms(character)]
    whole = [word for word in _by_frequency(words) if len(word) > 1 and words[word] > 1]
    tokens = [*SPECIAL_TOKENS, *spelling, *whole][:size]
    return {token: index for index, token in enumerate(tokens)}


_SPLITTER = BertTokenizer().backend_tokenizer


def _words(text: str) -> list[str]:
    """Words of a text as BERT's tokenizer splits it: lower case, punctuation and CJK characters on their own."""
    normal = _SPLITTER.normalizer.normalize_str(text)
    return [word for word, _ in _SPLITTER.pre_tokenizer.pre_tokenize_str(normal)]


def _forms(character: str) -> list[str]:
    within_words = len(_words("a" + character)) == 1
    return [character, CONTINUATION + character] if within_words else [character]


def _by_frequency(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))
