"""Gradient importance of heads: a first-order estimate of the effect of masking, without any mask.

Michel, Levy and Neubig 2019 (arXiv 1905.10650): give each head h a mask variable xi_h that multiplies its output; the
head's importance is the mean over examples of |dL/dxi_h| at xi_h = 1. The size is taken of each example's derivative:
derivatives of opposite sign would cancel in a batch's sum.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm
from transformers import PreTrainedModel

from pipeline.models.checkpoints import dimensions
from pipeline.models.families import family_of
from pipeline.models.tokenization import EncodedPairs, collate, length_batches

BATCH_TOKENS = 1024  # more is slower: all that a batch computes is kept for its gradient


def gradient_importance(
    model: PreTrainedModel, encoded: EncodedPairs, grades: np.ndarray, max_tokens: int = BATCH_TOKENS
) -> np.ndarray:
    """Gradient importance: mean absolute derivative, over pairs, of the cross-entropy by a head's mask variable.

    Args:
        model: a classifier of one output a grade, in eval mode; its weights gather no gradients.
        encoded: the pairs, at least one.
        grades: gold, int [pair].
        max_tokens: tokens in a batch, padding counted; what every layer keeps for its gradient must fit.

    Returns:
        float64 [layer, head], in nats.
    """
    total = np.zeros(dimensions(model))
    with tqdm(total=len(encoded), desc="gradients", unit="pair", delay=5, mininterval=5) as progress:
        for pairs in length_batches(encoded.lengths, max_tokens):
            inputs = collate(encoded, pairs, model.config.pad_token_id, model.device)
            gold = torch.from_numpy(grades[pairs].astype(np.int64)).to(model.device)
            total += _derivatives(model, inputs, gold).abs().double().sum(0).cpu().numpy()
            progress.update(len(pairs))
    return total / len(encoded)


@torch.enable_grad()
def _derivatives(model: PreTrainedModel, inputs: dict[str, Tensor], gold: Tensor) -> Tensor:
    """Derivatives of each pair's loss by each mask variable, [pair, layer, head].

    Pairs do not touch each other and each has mask variables of its own, so one gradient of the summed loss holds all.
    """
    layers, heads = dimensions(model)
    kept = torch.ones(len(gold), heads, dtype=model.dtype, device=model.device)
    masks = [kept.clone().requires_grad_() for _ in range(layers)]
    with _multiplied(model, masks):
        loss = F.cross_entropy(model(**inputs).logits, gold, reduction="sum")
    return torch.stack(torch.autograd.grad(loss, masks), dim=1)


@contextmanager
def _multiplied(model: PreTrainedModel, masks: list[Tensor]) -> Iterator[None]:
    """Multiply each layer's heads by its mask [pair, head] where they enter the output projection."""
    handles = [
        layer.output.register_forward_pre_hook(lambda _, arguments, mask=mask: (_scaled(arguments[0], mask),))
        for layer, mask in zip(family_of(model).layers(model), masks, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _scaled(contexts: Tensor, mask: Tensor) -> Tensor:
    """contexts [pair, position, d], each head's part times mask [pair, head]."""
    return (contexts.unflatten(-1, (mask.shape[1], -1)) * mask[:, None, :, None]).flatten(-2)
