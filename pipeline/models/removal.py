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
        return cls(*(np.ones(shape, dtype=bool) for shape in _shapes(model)))

    @classmethod
    def from_record(cls, model: PreTrainedModel, record: dict[str, list[Any]]) -> Self:
        """What a `record` keeps of a whole model: the heads that it names, and as many neurons, the first ones.

        Which neurons are kept decides weights alone: a model of the recorded shape is all that this is for.
        """
        heads, neurons = (np.zeros(shape, dtype=bool) for shape in _shapes(model))
        for layer, (numbers, count) in enumerate(zip(record["heads"], record["neurons"], strict=True)):
            heads[layer, numbers] = True
            neurons[layer, :count] = True
        return cls(heads, neurons)

    @property
    def is_everything(self) -> bool:
        return bool(self.heads.all() and self.neurons.all())

    def record(self) -> dict[str, list[Any]]:
        """Numbers of the heads kept in each layer, from 0, and how many neurons: what a loader needs to know."""
        return {
            "heads": [np.flatnonzero(row).tolist() for row in self.heads],
            "neurons": self.neurons.sum(axis=1).tolist(),
        }


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


def widened_model(small: PreTrainedModel, whole: PreTrainedModel, kept: Kept) -> PreTrainedModel:
    """A copy of `whole` with the weights of its smaller form, and 0 where that has none: it loads anywhere.

    Args:
        small: `pruned_model(whole, kept)`, perhaps trained since.
    """
    wide, weights = copy.deepcopy(whole), small.state_dict()
    places = pruned_model(_numbered(whole), kept).state_dict()
    with torch.no_grad():
        for name, weight in wide.named_parameters():
            weight.zero_()
            if name in weights:
                weight.view(-1)[places[name].flatten().long()] = weights[name].flatten()
    return wide.eval()


def _numbered(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose weights are numbered, each parameter's from 0: exact in float64."""
    numbered = copy.deepcopy(model).double()
    with torch.no_grad():
        for weight in numbered.parameters():
            weight.copy_(torch.arange(weight.numel(), dtype=torch.float64).view_as(weight))
    return numbered


def _shapes(model: PreTrainedModel) -> tuple[tuple[int, int], tuple[int, int]]:
    """[layer, head] and [layer, neuron] of a whole model."""
    config, layers = model.config, family_of(model).layers(model)
    return (len(layers), config.num_attention_heads), (len(layers), layers[0].contract.in_features)


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
