"""Norm-weighted attention: attention times the norm of what it carries (Kobayashi et al. 2020, arXiv 2004.10102).

Attention alone says where a head looks, not whether it writes anything from there: a head of a function's attention
pattern may have outputs of nearly zero. What head h writes to query i from key j is alpha_ij f(x_j), with f(x) = (x W_V
+ b_V) W_O, W_O the head's part of the output projection. The norms are taken relative to the layer: divided by what its
average head writes to that query in all, sum_j ||alpha_ij f(x_j)||. A head that writes as much as the average one thus
has norm-weighted attention of the size of its attention, one that writes nothing has none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.attention.maps import Reduction
from pipeline.models.checkpoints import dimensions
from pipeline.models.families import family_of


@contextmanager
def norm_weighted(model: PreTrainedModel, reduce: Reduction) -> Iterator[Reduction]:
    """The reduction of norm-weighted attention in place of attention, for forward passes of the model meanwhile.

    One layer's norm-weighted attention at a time is formed.
    """
    with _value_norms(model) as norms:
        yield lambda pairs, layers: reduce(pairs, map(relative_norms, layers, norms))


def relative_norms(attention: Tensor, norms: Tensor) -> Tensor:
    """Norm-weighted attention of one layer relative to its average head, [pair, head, query, key].

    Args:
        attention: [pair, head, query, key].
        norms: of f(x), [pair, head, key].
    """
    written = attention @ norms.unsqueeze(-1)  # [pair, head, query, 1]
    average = written.mean(dim=1, keepdim=True).clamp_min(torch.finfo(written.dtype).tiny)
    return attention * norms.unsqueeze(2) / average


@contextmanager
def _value_norms(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Norms of f(x) in the latest forward pass, for each layer [pair, head, key]; they are gone afterwards."""
    layers = family_of(model).layers(model)
    norms = [torch.empty(0)] * len(layers)

    def watch(number: int, factors: Tensor) -> Any:
        layer = layers[number]

        def keep(_module: torch.nn.Module, _inputs: Any, projected: Tensor) -> None:
            values = layer.values(projected).unflatten(-1, factors.shape[:2])
            by_head = values.transpose(1, 2)  # [pair, head, key, head_dim]
            norms[number] = (by_head @ factors.transpose(1, 2)).norm(dim=-1)

        return layer.value.register_forward_hook(keep)

    handles = [watch(number, _norm_factors(layer.output, dimensions(model)[1])) for number, layer in enumerate(layers)]
    try:
        yield norms
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _norm_factors(output: torch.nn.Linear, heads: int) -> Tensor:
    """Triangular factors R of every head's part of the output projection [head, head_dim, head_dim]: ||W v|| = ||R v||.

    By QR decomposition, so that no output of the hidden size is formed for each head.
    """
    weight = output.weight.detach()  # [d, head * head_dim]
    return torch.linalg.qr(weight.unflatten(1, (heads, -1)).transpose(0, 1), mode="r").R
