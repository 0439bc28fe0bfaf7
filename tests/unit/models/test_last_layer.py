"""The last layer at [CLS] alone: logits and gradients of the framework's own forward, and nothing left behind."""

from functools import partial

import pytest
import torch

from pipeline.models.families import FAMILIES
from pipeline.models.last_layer import last_layer_at_cls
from tests.support.builders import random_classifier
from tests.support.cross_encoders import random_chain

SHORTER = {"bert", "roberta", "xlm-roberta", "electra", "ernie", "camembert", "deberta-v2"}
IDS = torch.arange(5, 29).view(2, 12)
KEPT = torch.tensor([[1] * 12, [1] * 9 + [0] * 3])


def gradients(model) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    logits = model(input_ids=IDS, attention_mask=KEPT).logits
    logits.square().sum().backward()
    return logits.detach(), {name: weight.grad.clone() for name, weight in model.named_parameters()}


def positions_behind_the_heads(model) -> int:
    """Positions of the last layer's states."""
    seen = []
    hook = model.base_model.register_forward_hook(lambda *call: seen.append(call[-1].last_hidden_state.shape[1]))
    model(input_ids=IDS, attention_mask=KEPT)
    hook.remove()
    return seen[0]


MODELS = {family: (partial(random_classifier, family, layers=3), family in SHORTER) for family in FAMILIES}
CHAINS = {
    f"chain, {pooling}": (partial(random_chain, pooling=pooling), pooling == "cls") for pooling in ("cls", "mean")
}


@pytest.mark.parametrize(("build", "is_shorter"), (MODELS | CHAINS).values(), ids=[*MODELS, *CHAINS])
def test_logits_and_gradients_are_the_same(build, is_shorter):
    model = build().double()
    logits, expected = gradients(model)
    with last_layer_at_cls(model):
        assert positions_behind_the_heads(model) == (1 if is_shorter else IDS.shape[1])
        shorter_logits, shorter = gradients(model)
    torch.testing.assert_close(shorter_logits, logits, rtol=1e-9, atol=1e-12)
    for name, gradient in expected.items():
        torch.testing.assert_close(shorter[name], gradient, rtol=1e-9, atol=1e-12, msg=name)
    assert positions_behind_the_heads(model) == IDS.shape[1]
