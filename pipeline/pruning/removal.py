"""Physical removal of heads and feed-forward neurons: smaller matrices in the framework's own forward.

The logits are those of the model with the same heads masked, and the same neurons' outputs set to 0.
"""

import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.models.checkpoints import dimensions
from pipeline.models.families import Family, LayerModules, family_of, keep_inputs, keep_outputs


@dataclass(frozen=True)
class Kept:
    """What is kept of an encoder.

    Attributes:
        heads: bool [layer, head].
        neurons: of the feed-forward parts, bool [layer, neuron].
    """

    heads: np.ndarray
    neurons: np.ndarray

    @classmethod
    def everything(cls, model: PreTrainedModel) -> Self:
        """All that a model has."""
        widths = [modules.contract.in_features for modules in family_of(model).layers(model)]
        return cls(np.ones(dimensions(model), dtype=bool), np.ones((len(widths), widths[0]), dtype=bool))


class NoHeads(nn.Module):
    """Attention of a layer without heads: nothing is read, only the projection's bias is left to write."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        context = hidden_states[..., :0]
        for projection in self.children():  # where the family keeps the projection inside of its attention
            context = projection(context)
        return context, None


def pruned_model(model: PreTrainedModel, kept: Kept) -> PreTrainedModel:
    """A smaller copy of the model, in evaluation mode; weights of removed heads and neurons are gone."""
    small, family = copy.deepcopy(model), family_of(model)
    for block, modules, heads, neurons in zip(
        family.blocks(small), family.layers(small), kept.heads, kept.neurons, strict=True
    ):
        if not heads.all():
            _keep_heads(family, block, modules, heads)
        if not neurons.all():
            _keep_neurons(family, modules, neurons)
    return small.eval()


def zeroed_model(model: PreTrainedModel, kept: Kept) -> PreTrainedModel:
    """A copy of full shape with the weights behind removed heads and neurons set to 0, which loads anywhere."""
    full = copy.deepcopy(model)
    with torch.no_grad():
        for modules, heads, neurons in zip(family_of(full).layers(full), kept.heads, kept.neurons, strict=True):
            size = modules.output.in_features // len(heads)
            modules.output.weight[:, torch.from_numpy(np.repeat(~heads, size))] = 0
            modules.contract.weight[:, torch.from_numpy(~neurons)] = 0
    return full.eval()


def _keep_heads(family: Family, block: nn.Module, modules: LayerModules, heads: np.ndarray) -> None:
    size = modules.output.in_features // len(heads)
    kept = torch.from_numpy(np.flatnonzero(np.repeat(heads, size)))
    keep_inputs(modules.output, kept)
    if not heads.any():
        _replace_attention(family, block, modules.output)
        return
    width = len(heads) * size
    for projection in modules.projections:
        parts = projection.out_features // width  # 3 where one layer gives queries, keys and values
        keep_outputs(projection, torch.cat([kept + part * width for part in range(parts)]))
    family.narrow(block.get_submodule(family.paths.attention), kept, int(heads.sum()))


def _replace_attention(family: Family, block: nn.Module, output: nn.Linear) -> None:
    """Put `NoHeads` in the attention's place, with the output projection where the family keeps it inside."""
    path, nothing = family.paths.attention, NoHeads()
    if family.paths.output.startswith(f"{path}."):
        nothing.add_module(family.paths.output.removeprefix(f"{path}."), output)
    parent, _, name = path.rpartition(".")
    setattr(block.get_submodule(parent), name, nothing)


def _keep_neurons(family: Family, modules: LayerModules, neurons: np.ndarray) -> None:
    kept, width = torch.from_numpy(np.flatnonzero(neurons)), len(neurons)
    parts = modules.expand.out_features // width  # 2 where the part is gated
    keep_outputs(modules.expand, torch.cat([kept + part * width for part in range(parts)]))
    keep_inputs(modules.contract, kept)
