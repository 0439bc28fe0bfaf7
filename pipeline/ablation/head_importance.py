"""Gradient importance of heads: a first-order estimate of the effect of masking, without any mask.

Michel, Levy and Neubig 2019 (arXiv 1905.10650): give each head h a mask variable xi_h that multiplies its output; the
head's importance is the mean over examples of |dL/dxi_h| at xi_h = 1. The size is taken of each example's derivative:
derivatives of opposite sign would cancel in a batch's sum.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm
from transformers import PreTrainedModel

from pipeline.core.errors import InputError
from pipeline.models.checkpoints import dimensions
from pipeline.models.families import family_of
from pipeline.models.inference import collate, length_batches
from pipeline.models.tokenization import EncodedPairs

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
    for pairs, inputs in _batches(model, encoded, max_tokens):
        gold = torch.from_numpy(grades[pairs].astype(np.int64)).to(model.device)
        _, derivatives = _derivatives(model, inputs, partial(F.cross_entropy, target=gold, reduction="sum"))
        total += derivatives.abs().double().sum(0).cpu().numpy()
    return total / len(encoded)


def ranking_gradient_importance(
    model: PreTrainedModel,
    encoded: EncodedPairs,
    grades: np.ndarray,
    query_ids: np.ndarray,
    temperature: float = 1.0,
    max_tokens: int = BATCH_TOKENS,
) -> np.ndarray:
    """Gradient importance of a ranker: mean absolute derivative, over queries, of the pairwise log loss.

    A query's loss is the mean of log(1 + exp(s_worse - s_better)) over its pairs of titles of different grades; its
    derivative by a mask variable is that by the scores times theirs. Queries without such titles are left out.

    Args:
        model: a model of one output, the score, in eval mode; its weights gather no gradients.
        encoded: the pairs.
        grades: gold, [pair].
        query_ids: [pair].
        temperature: divisor of the scores, see `pipeline.stats.temperature`.
        max_tokens: tokens in a batch, padding counted; what every layer keeps for its gradient must fit.

    Returns:
        float64 [layer, head], in nats.

    Raises:
        InputError: no query has titles of different grades.
    """
    scores, derivatives = np.empty(len(encoded)), np.empty((len(encoded), *dimensions(model)))
    for pairs, inputs in _batches(model, encoded, max_tokens):
        found = _derivatives(model, inputs, torch.sum)
        parts = (part.double().cpu().numpy() / temperature for part in (found[0][:, 0], found[1]))
        scores[pairs], derivatives[pairs] = parts
    of_queries = []
    for query in np.unique(query_ids):
        pairs = np.flatnonzero(query_ids == query)
        if len(np.unique(grades[pairs])) > 1:
            slopes = pairwise_loss_slopes(scores[pairs], grades[pairs])
            of_queries.append(np.abs(np.tensordot(slopes, derivatives[pairs], axes=1)))
    if not of_queries:
        raise InputError(
            f"none of {len(np.unique(query_ids))} queries has titles of different grades, so no order of its titles is "
            "right or wrong; grade more titles of the same queries"
        )
    return np.mean(of_queries, axis=0)


def pairwise_loss_slopes(scores: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """Derivatives of one query's pairwise log loss by the scores of its titles, all three [title]."""
    better = grades[:, None] > grades  # [title, title]: the first of a pair is the better one
    slopes = expit(scores - scores[:, None]) * better / better.sum()
    return slopes.sum(axis=0) - slopes.sum(axis=1)


def _batches(
    model: PreTrainedModel, encoded: EncodedPairs, max_tokens: int
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Batches of pair indices [pair] and the model's inputs, with a progress bar."""
    with tqdm(total=len(encoded), desc="gradients", unit="pair", delay=5, mininterval=5) as progress:
        for pairs in length_batches(encoded.lengths, max_tokens):
            yield pairs, collate(encoded, pairs, model.config.pad_token_id, model.device)
            progress.update(len(pairs))


@torch.enable_grad()
def _derivatives(
    model: PreTrainedModel, inputs: dict[str, Tensor], summed: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Logits [pair, output], and derivatives of each pair's part of a sum by each mask variable [pair, layer, head].

    Pairs do not touch each other and each has mask variables of its own, so one gradient of `summed` logits holds all.
    """
    layers, heads = dimensions(model)
    kept = torch.ones(len(inputs["input_ids"]), heads, dtype=model.dtype, device=model.device)
    masks = [kept.clone().requires_grad_() for _ in range(layers)]
    with _multiplied(model, masks):
        logits = model(**inputs).logits
        derivatives = torch.autograd.grad(summed(logits), masks)
    return logits.detach(), torch.stack(derivatives, dim=1)


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
