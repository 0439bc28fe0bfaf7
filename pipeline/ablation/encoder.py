"""Encoder of a model with access to its heads: a common view of all families, packed for inference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.ablation.linear import ONE_PASS, Activation, LayerNorm, Linear, NormalisedLinear, pack_linear
from pipeline.ablation.precision import FLOAT32, Precision
from pipeline.ablation.self_attention import SelfAttention, fused_from
from pipeline.models.checkpoint_config import check_family
from pipeline.models.families import Family, LayerModules, family_of
from pipeline.models.positions import EmbeddedPositions
from pipeline.models.tokenization import EncodedPairs


class FeedForward(Protocol):
    """What stands behind the heads' projection and its residual, [..., d] -> [..., d].

    Attributes:
        contract: the projection of the neurons' outputs.
        neurons: its weight by neuron, [neuron, d].
        weights_of_neuron: vectors of d weights that belong to one neuron.
        expansion: the product that the neurons start with, behind the normalisation; None where images do not pay.
    """

    @property
    def contract(self) -> Linear: ...

    @property
    def neurons(self) -> Tensor: ...

    @property
    def weights_of_neuron(self) -> int: ...

    @property
    def expansion(self) -> NormalisedLinear | None: ...

    def fire(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the neurons' outputs [..., neuron] of `project`'s result [..., d], and the residual [..., d]."""
        ...

    def fire_from(self, image: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        """`fire` from the image of `projected` by `expansion`, which is overwritten."""
        ...

    def finish(self, x: Tensor) -> Tensor:
        """Compute the layer's output [..., d] from the neurons' projection plus the residual [..., d]."""
        ...


@dataclass(frozen=True)
class NormsBehind:
    """A plain feed-forward part, each part's normalisation behind it."""

    attention_norm: Activation
    expand: Linear
    expansion: NormalisedLinear | None
    activation: Activation
    contract: Linear
    neurons: Tensor
    output_norm: Activation
    weights_of_neuron = 2

    def fire(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        x = self.attention_norm(projected)
        return self.expand(x), x

    def fire_from(self, image: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(self.attention_norm, LayerNorm), "only it has images"
        assert self.expansion is not None, "images are its own"
        x, scale = self.attention_norm.with_scale(projected)
        return self.activation(self.expansion.finish(image, scale)), x

    def finish(self, x: Tensor) -> Tensor:
        return self.output_norm(x)


@dataclass(frozen=True)
class NormsBefore:
    """A gated feed-forward part, its normalisation before it."""

    norm: Activation
    expand: Linear
    gate: Linear
    expansion: NormalisedLinear | None
    activation: Activation
    contract: Linear
    neurons: Tensor
    weights_of_neuron = 3

    def fire(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(projected)
        return self.gate.multiply(x, self.expand(x)), projected

    def fire_from(self, image: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(self.norm, LayerNorm), "only it has images"
        assert self.expansion is not None, "images are its own"
        _, scale = self.norm.with_scale(projected)
        expanded, gate = self.expansion.finish(image, scale).chunk(2, dim=-1)
        return self.activation(expanded).mul_(gate), projected

    def finish(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class EncoderLayer:
    """One encoder layer; d is the hidden size, the heads' sizes together.

    Attributes:
        norm: what the states pass before the attention.
        attention: up to the heads' contexts.
        output: the projection behind the heads.
        output_heads: its weight by head, [head, head_dim, d].
        feed_forward: what follows.
    """

    norm: Activation
    attention: SelfAttention
    output: Linear
    output_heads: Tensor
    feed_forward: FeedForward

    def attend(self, states: Tensor) -> Tensor:
        """Compute the heads' contexts, [..., position, d] -> [..., position, head, head_dim]."""
        return self.attention.attend(self.norm(states))

    def first_rows(self, states: Tensor) -> Tensor:
        """Compute the attention of [CLS] over the positions, [..., position, d] -> [..., head, key]."""
        return self.attention.first_rows(self.norm(states))

    def read_first(self, states: Tensor, rows: Tensor) -> Tensor:
        """Compute the contexts of [CLS] alone, [..., 1, head, head_dim], from its attention `rows` [..., head, key]."""
        return self.attention.read_first(self.norm(states), rows)

    def project(self, context: Tensor, residual: Tensor) -> Tensor:
        """Compute the output projection of contexts [..., head, head_dim], plus the layer's input [..., d]."""
        return self.output.add(context.flatten(-2), residual)

    def fire(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the neurons' outputs [..., neuron] of `project`'s result [..., d], and their sum, for `finish`."""
        fired, residual = self.feed_forward.fire(projected)
        return fired, self.feed_forward.contract.add(fired, residual)

    def behind_heads(self, projected: Tensor) -> Tensor:
        """Compute the layer's output [..., d] from `project`'s result [..., d]."""
        _, total = self.fire(projected)
        return self.feed_forward.finish(total)

    def behind_image(self, image: Tensor, projected: Tensor) -> Tensor:
        """`behind_heads` from the image of `projected` too, which is overwritten."""
        fired, residual = self.feed_forward.fire_from(image, projected)
        return self.feed_forward.finish(self.feed_forward.contract.add(fired, residual))

    def behind_neurons(self, projected: Tensor, parents: np.ndarray, removed: Sequence[np.ndarray]) -> Tensor:
        """Compute outputs without some neurons, [variant, ..., d], from `project`'s result [parent, ..., d].

        What a variant's neurons write is taken out of its parent's sum, as heads are.

        Args:
            parents: of each variant, int64 [variant].
            removed: neurons that each variant lacks, int [neuron] each.
        """
        fired, total = self.fire(projected)
        sums = total[on_device(parents, total.device)]
        for part, parent, neurons in zip(sums, parents, removed, strict=True):
            if len(neurons):
                index = on_device(neurons, total.device)
                lost, weight = fired[parent][..., index], self.feed_forward.neurons[index]
                part.view(-1, part.shape[-1]).addmm_(lost.flatten(0, -2), weight, alpha=-1)
        return self.feed_forward.finish(sums)


@dataclass(frozen=True)
class AblatableEncoder:
    """Encoder with embeddings and what reads its last states: ``classify(layers(embed(ids, types)))``.

    Attributes:
        embed: of ids and types [pair, position].
        layers: in their order.
        reads_cls_alone: whether `classify` reads the first position alone, so that a caller may leave out the others.
        classify: logits [row, output] of the last layer's output [row, position, d].
        device: where the weights are.
        outputs: number of logits.
        precision: of the layers' products.
    """

    embed: Callable[[Tensor, Tensor], Tensor]
    layers: list[EncoderLayer]
    reads_cls_alone: bool
    classify: Callable[[Tensor], Tensor]
    device: torch.device
    outputs: int
    precision: Precision

    @classmethod
    def from_pretrained_model(cls, model: PreTrainedModel, precision: Precision = FLOAT32) -> Self:
        """The model's encoder in `precision`; embeddings and what reads the last states keep the model's weights.

        Packing copies the weights: one encoder serves all sweeps of a model.

        Raises:
            InputError: the architecture is none of FAMILIES, or has parts that are not known here.
        """
        check_family(str(model.name_or_path), str(model.config.model_type))
        family = family_of(model)
        pool = {"cls": _first, "mean": _mean}[family.pooling(model)]
        final_norm = family.final_norm(model)

        def embed(ids: Tensor, types: Tensor) -> Tensor:
            return family.embed(model, ids, types).to(precision.dtype)

        def classify(states: Tensor) -> Tensor:
            return family.classify(model, pool(final_norm(states.float())))

        parts = zip(family.layers(model), family.positions(model), strict=True)
        layers = [_encoder_layer(model, family, *part, precision) for part in parts]
        return cls(embed, layers, pool is _first, classify, model.device, family.outputs(model), precision)

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and heads per layer."""
        return len(self.layers), self.layers[0].attention.heads

    @property
    def head_size(self) -> int:
        return self.layers[0].output_heads.shape[1]

    def embed_pairs(self, encoded: EncodedPairs, pairs: np.ndarray) -> Tensor:
        """Embed pairs of one length as the input of the first layer [pair, position, d]."""
        tokens = encoded.positions(pairs)
        return self.embed(*(on_device(array[tokens], self.device) for array in (encoded.ids, encoded.types)))


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """The array on a device, without waiting for the work that a GPU has in hand, as a plain copy does."""
    return torch.from_numpy(array).to(device, non_blocking=True)


def take_out(written: Tensor, lost: Tensor, weights: Tensor) -> None:
    """Subtract, in place, what some heads' contexts write.

    Args:
        written: [child, ..., out].
        lost: the contexts, [child, touched, ..., head_dim].
        weights: by which they are written, of each child's heads, [child, touched, head_dim, out]; or of the heads that
            all children touch, [touched, head_dim, out].
    """
    rows = lost.flatten(2, -2).transpose(1, 2).flatten(2)  # [child, row, touched * head_dim]
    if weights.dim() == 3:
        written.view(-1, written.shape[-1]).addmm_(rows.flatten(0, 1), weights.flatten(0, 1), alpha=-1)
    else:
        written.view(len(lost), -1, written.shape[-1]).baddbmm_(rows, weights.flatten(1, 2), alpha=-1)


def _first(states: Tensor) -> Tensor:
    return states[:, 0]


def _mean(states: Tensor) -> Tensor:
    return states.mean(dim=1)


def _encoder_layer(
    model: PreTrainedModel, family: Family, modules: LayerModules, positions: EmbeddedPositions, precision: Precision
) -> EncoderLayer:
    dtype, heads, hidden_act = precision.dtype, model.config.num_attention_heads, family.hidden_act(model.config)
    norm = modules.attention_norm if family.norms_before else nn.Identity()
    feed_forward = _norms_before if family.norms_before else _norms_behind
    output_heads = modules.output.weight.detach().to(dtype).t().contiguous().unflatten(0, (heads, -1))
    return EncoderLayer(
        norm=_norm(norm, dtype),
        attention=_self_attention(modules, positions, heads, precision),
        output=_linear(modules.output, dtype),
        output_heads=output_heads,
        feed_forward=feed_forward(modules, hidden_act, precision, output_heads),
    )


def _self_attention(
    modules: LayerModules, positions: EmbeddedPositions, heads: int, precision: Precision
) -> SelfAttention:
    dtype = precision.dtype
    weights, biases = ([_cast(part, dtype) for part in parts] for parts in modules.query_key_value())
    query, key, value = weights
    bias = value.new_zeros(len(value)) if biases[2] is None else biases[2]
    return SelfAttention(
        heads=heads,
        positions=positions.to(dtype),
        qkv=pack_linear(torch.cat(weights), None if biases[0] is None else torch.cat(biases)),
        query=pack_linear(query, biases[0]),
        key=pack_linear(key, biases[1]),
        key_weight=key.unflatten(0, (heads, -1)),
        value_weight=value.unflatten(0, (heads, -1)),
        value_bias=bias.unflatten(0, (heads, -1)),
        fused_from=fused_from(value.device, precision),
    )


def _norms_behind(modules: LayerModules, hidden_act: str, precision: Precision, output_heads: Tensor) -> NormsBehind:
    dtype, norm = precision.dtype, _norm(modules.attention_norm, precision.dtype)
    return NormsBehind(
        attention_norm=norm,
        expand=_linear(modules.expand, dtype, hidden_act=hidden_act, activation=modules.activation),
        expansion=_expansion(norm, modules.expand, precision, output_heads),
        activation=ONE_PASS.get(hidden_act, modules.activation),
        contract=_linear(modules.contract, dtype),
        neurons=_cast(modules.contract.weight, dtype).t(),
        output_norm=_norm(modules.feed_forward_norm, dtype),
    )


def _norms_before(modules: LayerModules, hidden_act: str, precision: Precision, output_heads: Tensor) -> NormsBefore:
    dtype, norm = precision.dtype, _norm(modules.feed_forward_norm, precision.dtype)
    weights, biases = modules.expand_and_gate()
    (expand, gate), (expand_bias, gate_bias) = ([_cast(part, dtype) for part in parts] for parts in (weights, biases))
    return NormsBefore(
        norm=norm,
        expand=pack_linear(expand, expand_bias, hidden_act, modules.activation),
        gate=pack_linear(gate, gate_bias),
        expansion=_expansion(norm, modules.expand, precision, output_heads),
        activation=ONE_PASS.get(hidden_act, modules.activation),
        contract=_linear(modules.contract, dtype),
        neurons=_cast(modules.contract.weight, dtype).t(),
    )


def _expansion(
    norm: Activation, expand: nn.Linear, precision: Precision, output_heads: Tensor
) -> NormalisedLinear | None:
    """The expanding product with images. They pay in float32: rounded products cost less than the passes over them."""
    if precision != FLOAT32 or not isinstance(norm, LayerNorm):
        return None
    weight, bias = (_cast(part, precision.dtype) for part in (expand.weight, expand.bias))
    return NormalisedLinear(norm, weight, bias, output_heads)


def _linear(module: nn.Linear, dtype: torch.dtype, **activation) -> Linear:
    return pack_linear(_cast(module.weight, dtype), _cast(module.bias, dtype), **activation)


def _norm(module: nn.Module, dtype: torch.dtype) -> Activation:
    """A layer normalisation in `dtype`; where there is none, the identity that stands in its place."""
    if isinstance(module, nn.LayerNorm):
        return LayerNorm(_cast(module.weight, dtype), _cast(module.bias, dtype), module.eps)
    return module


def _cast(weight: Tensor | None, dtype: torch.dtype) -> Any:
    return None if weight is None else weight.detach().to(dtype)
