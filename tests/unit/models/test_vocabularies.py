"""Vocabularies before and after fine-tuning: tokens added or renamed are followed, others refused."""

import pytest
import torch

from pipeline.core.errors import InputError
from pipeline.models.vocabularies import add_tokens, check_same_heads, check_vocabulary
from tests.support.builders import random_classifier

BASE = {"[PAD]": 0, "[CLS]": 1, "[unused1]": 2, "red": 3, "hat": 4}


@pytest.mark.parametrize(
    "after", [BASE, {**BASE, "[QUERY]": 5, "kg": 6}, {"[PAD]": 0, "[CLS]": 1, "[QUERY]": 2, "red": 3, "hat": 4}]
)
def test_tokens_added_or_renamed_before_fine_tuning(after):
    check_vocabulary(BASE, after)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({**BASE, "red": 4, "hat": 3}, "'red' is 3 there, 4 here, 'hat' is 4 there, 3 here"),
        ({token: index for token, index in BASE.items() if token != "hat"}, "'hat' is there alone"),
        ({token.upper() + "!": index for token, index in BASE.items()}, r"another vocabulary \(5 tokens\)"),
    ],
)
def test_other_vocabularies_are_refused(after, said):
    with pytest.raises(InputError, match=rf"{said}.*set model.pretrained_from to null"):
        check_vocabulary(BASE, after)


@pytest.mark.parametrize("other", [(1, 3), (2, 4)])
def test_other_heads_are_refused(other):
    check_same_heads((2, 3), (2, 3))
    with pytest.raises(InputError, match=rf"has {other[0]} layers x {other[1]} heads, model.name 2 x 3"):
        check_same_heads(other, (2, 3))


@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta-v2"])
def test_added_tokens_begin_as_the_mean_and_move_nothing_else(family, capsys):
    model = random_classifier(family, heads=2)
    old = model.get_input_embeddings().weight.detach().clone()
    ids = torch.tensor([[2, 7, 9, 3]])
    before = model(input_ids=ids).logits
    add_tokens(model, {"a": 0, "last": 61})
    new = model.get_input_embeddings().weight
    assert torch.equal(new[:60], old)
    torch.testing.assert_close(new[60:], old.mean(dim=0).expand(2, -1))
    assert torch.equal(model(input_ids=ids).logits, before)
    assert model(input_ids=torch.tensor([[2, 61]])).logits.isfinite().all()
    assert "2 tokens of model.name are none of model.pretrained_from's" in capsys.readouterr().err


def test_rows_that_a_padded_table_has_anyway_are_left():
    model = random_classifier("bert", heads=2)
    old = model.get_input_embeddings().weight.detach().clone()
    add_tokens(model, {"a": 0, "last": 59})
    assert torch.equal(model.get_input_embeddings().weight, old)
