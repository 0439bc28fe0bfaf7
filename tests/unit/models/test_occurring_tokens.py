"""Embeddings of the tokens that occur: the whole table's training, seen from within the block and behind it."""

from functools import partial

import pytest
import torch

from pipeline.models.families import FAMILIES
from pipeline.models.occurring_tokens import embeddings_of_occurring_tokens
from pipeline.models.trainer_setup import set_dropout
from tests.support.builders import random_classifier
from tests.support.cross_encoders import random_chain

IDS = torch.tensor([[5, 9, 6, 30, 7, 5, 6], [5, 20, 6, 9, 6, 1, 1]])  # the padding of half of the families: 1
KEPT = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
OTHERS = torch.tensor([[5, 8, 40, 9, 6, 0, 41]])
MODELS = {family: partial(random_classifier, family) for family in FAMILIES} | {"chain": random_chain}


def trained(model: torch.nn.Module, steps: int) -> torch.optim.Optimizer:
    """Train by AdamW with weight decay, gradients clipped by their norm, on IDS."""
    model.train()
    set_dropout(model, 0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=IDS, attention_mask=KEPT).logits.square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return optimizer


def logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(input_ids=ids).logits.clone()


def copied_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_training_is_that_of_the_whole_table(build):
    whole, model = build().double(), build().double()
    parameter = model.get_input_embeddings().weight
    before = parameter.detach().clone()
    trained(whole, 4)
    with embeddings_of_occurring_tokens(model, IDS.numpy()):
        optimizer = trained(model, 4)
        assert len(optimizer.state[model.get_input_embeddings().weight]["exp_avg"]) == len(IDS.unique()) + 1
        within, of_others, of_ids = copied_state(model), logits(model, OTHERS), logits(model, IDS)
    exact = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-12)
    for name, weight in whole.state_dict().items():
        exact(within[name], weight, msg=name)
        exact(model.state_dict()[name], weight, msg=name)
    for seen, ids in ((of_others, OTHERS), (of_ids, IDS)):
        exact(seen, logits(whole, ids))
        exact(logits(model, ids), logits(whole, ids))
    assert model.get_input_embeddings().weight is parameter
    absent = [token for token in range(len(before)) if token not in IDS]
    assert not torch.equal(parameter[absent], before[absent]), "weight decay shrinks them"


def test_without_weight_decay_absent_rows_are_as_they_were():
    model = random_classifier("bert")
    before = model.get_input_embeddings().weight.detach().clone()
    with embeddings_of_occurring_tokens(model, IDS.numpy()):
        model.train()
        model(input_ids=IDS, attention_mask=KEPT).logits.sum().backward()
        torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0).step()
    after = model.get_input_embeddings().weight.detach()
    is_absent = torch.ones(len(before), dtype=torch.bool)
    is_absent[IDS.unique()] = False
    assert torch.equal(after[is_absent], before[is_absent])
    assert not torch.equal(after[9], before[9])


@pytest.mark.parametrize("is_trained", [True, False])
def test_the_model_is_as_before_also_after_an_error(is_trained):
    model = random_classifier("bert")
    model.get_input_embeddings().weight.requires_grad_(is_trained)
    before, table = copied_state(model), model.get_input_embeddings()
    with pytest.raises(IndexError), embeddings_of_occurring_tokens(model, IDS.numpy()):
        model(input_ids=IDS + 1000)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert "forward" not in vars(table)
    assert table.weight.requires_grad == is_trained
    assert not table._state_dict_hooks
