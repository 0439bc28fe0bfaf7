"""The last layer at [CLS] alone, where a model reads nothing else of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from pipeline.models.families import family_of


@contextmanager
def last_layer_at_cls(model: PreTrainedModel) -> Iterator[None]:
    """Compute the last layer behind its heads at [CLS] alone within the block: the same logits and gradients.

    That is three quarters of the layer's products. Models that read all positions, and families without a module for
    it, compute as they do.
    """
    family = family_of(model)
    joint = family.residual_module(model) if family.pooling(model) == "cls" else None
    if joint is None:
        yield
        return
    handle = joint.register_forward_pre_hook(_first_position)
    try:
        yield
    finally:
        handle.remove()


def _first_position(_: Any, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The heads' outputs and the residual, [pair, position, d] each, at [CLS] alone."""
    return tuple(part[:, :1] for part in states)
