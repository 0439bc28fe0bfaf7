"""Plain attention of short texts: which batches take it, the fused kernel's values, and nothing left behind."""

import pytest
import torch

from pipeline.models.short_texts import FUSED_FROM, plain_attention_of_short_texts
from tests.support.builders import random_classifier


@pytest.fixture
def model():
    return random_classifier("bert", max_position_embeddings=FUSED_FROM + 1).double()


def gradients(model, tokens: int) -> tuple[bool, list[torch.Tensor]]:
    """Whether the fused kernel was allowed, the logits, and the gradient of every weight."""
    model.zero_grad()
    ids = torch.arange(2 * tokens).view(2, tokens) % 30 + 5
    kept = torch.ones_like(ids)
    kept[1, tokens // 2 :] = 0
    logits = model(input_ids=ids, attention_mask=kept).logits
    logits.square().sum().backward()
    return torch.backends.cuda.flash_sdp_enabled(), [logits.detach(), *(weight.grad for weight in model.parameters())]


@pytest.mark.parametrize(("tokens", "is_fused"), [(7, False), (FUSED_FROM - 1, False), (FUSED_FROM, True)])
def test_logits_and_gradients_are_the_same(model, tokens, is_fused):
    _, expected = gradients(model, tokens)
    with plain_attention_of_short_texts(model):
        allowed, values = gradients(model, tokens)
    assert allowed == is_fused
    for value, other in zip(values, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("was_fused", [True, False])
def test_the_switch_is_as_before_also_after_an_error(model, was_fused):
    before = torch.backends.cuda.flash_sdp_enabled()
    torch.backends.cuda.enable_flash_sdp(was_fused)
    try:
        with pytest.raises(IndexError), plain_attention_of_short_texts(model):
            model(input_ids=torch.full((1, 5), 10**6))
        assert torch.backends.cuda.flash_sdp_enabled() == was_fused
        assert not model._forward_pre_hooks
    finally:
        torch.backends.cuda.enable_flash_sdp(before)


def test_the_forward_is_the_plain_one(model):
    """Seen from its gradient: the fused kernel's has a node of its own."""

    def nodes(tensor: torch.Tensor) -> set[str]:
        waiting, names = [tensor.grad_fn], set()
        while waiting:
            node = waiting.pop()
            if node is not None:
                names.add(node.name())
                waiting += [before for before, _ in node.next_functions]
        return names

    ids = torch.arange(5, 19).view(2, 7)
    fused = nodes(model(input_ids=ids).logits)
    with plain_attention_of_short_texts(model):
        plain = nodes(model(input_ids=ids).logits)
    assert any("FlashAttention" in name for name in fused)
    assert not any("FlashAttention" in name for name in plain)
