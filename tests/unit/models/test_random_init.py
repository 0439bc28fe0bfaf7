"""The vocabulary and the random BERT built from the training texts."""

import pytest
import torch
from transformers import BertForSequenceClassification

from pipeline.models import checkpoints
from pipeline.models.random_init import build_wordpiece_vocabulary
from tests.support.builders import SCRATCH, TEXTS, load_tiny

pytestmark = pytest.mark.usefixtures("offline_project")


def test_vocabulary_worked_by_hand():
    tokens = list(build_wordpiece_vocabulary(["abc ab", "ab 红 ba"], 100))
    spelled = ["a", "##a", "b", "##b", "c", "##c", "红"]
    assert tokens == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *spelled, "ab"]


def test_vocabulary_ignores_the_order_of_the_texts_and_keeps_the_most_frequent():
    assert build_wordpiece_vocabulary(TEXTS, 100) == build_wordpiece_vocabulary(TEXTS[::-1], 100)
    assert list(build_wordpiece_vocabulary(["bb b a"], 8))[5:] == ["b", "##b", "a"]


def test_scratch_knows_every_word_spelled_in_known_characters():
    _, tokenizer = load_tiny("scratch")
    assert tokenizer.tokenize("Abreast 鞋的!") == ["a", "##b", "##r", "##e", "##a", "##s", "##t", "鞋", "的", "!"]
    assert tokenizer.tokenize("RED hat") == ["red", "hat"]
    assert tokenizer.tokenize("Ωred") == ["[UNK]"]


def test_scratch_is_the_same_every_time_and_of_the_size_asked_for():
    model, tokenizer = load_tiny("scratch")
    again, _ = load_tiny("scratch")
    assert isinstance(model, BertForSequenceClassification)
    assert checkpoints.dimensions(model) == (2, 2)
    assert model.config.vocab_size == len(tokenizer) <= SCRATCH["vocabulary"]
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), again.parameters(), strict=True))
    assert not torch.equal(load_tiny("scratch", run__seed=1)[0].classifier.weight, model.classifier.weight)
