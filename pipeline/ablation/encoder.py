"""Encoder of a classifier with access to its heads: a common view of six model families, packed for inference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from pipeline.models.checkpoint_files import check_family
from pipeline.models.tokenization import EncodedPairs

Activation = Callable[[Tensor], Tensor]

# hidden_act of a config -> (post-op, algorithm) of oneDNN's fused linear.
FUSED = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}


class Linear:
    """Linear layer ``activation(x @ weight.T + bias)`` over the last axis.

    Args:
        weight: [out, in].
        bias: [out].
        activation: applied to the result; None for none.
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation | None = None):
        self.weight, self.bias, self.activation = weight, bias, activation

    def __call__(self, x: Tensor) -> Tensor:
        out = F.linear(x, self.weight, self.bias)
        return out if self.activation is None else self.activation(out)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """The layer's result plus `residual`."""
        return self(x) + residual


class PackedLinear(Linear):
    """Linear layer on a CPU through oneDNN: weights reordered once, activation and residual inside the matrix product.

    Measured here 1.2 to 1.4 times as fast as ``F.linear`` in float32 (docs/benchmarks.md).
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, activation: Activation | None = None, fused: tuple[str, str] = ("none", "")
    ):
        super().__init__(torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()), bias, activation)
        self.fused = fused

    def __call__(self, x: Tensor) -> Tensor:
        post_op, algorithm = self.fused
        out = torch.ops.mkldnn._linear_pointwise.default(x, self.weight, self.bias, post_op, [], algorithm)
        return out if self.activation is None else self.activation(out)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add")


def pack_linear(
    weight: Tensor, bias: Tensor, hidden_act: str | None = None, activation: Activation | None = None
) -> Linear:
    """Pack a linear layer into the fastest exact form on the weight's device.

    Args:
        weight: [out, in].
        bias: [out].
        hidden_act: the config's name of `activation`, to fuse it where oneDNN knows it.
        activation: the function itself.
    """
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return Linear(weight, bias, activation)
    if hidden_act in FUSED:
        return PackedLinear(weight, bias, fused=FUSED[hidden_act])
    return PackedLinear(weight, bias, activation)


@dataclass(frozen=True)
class LayerNorm:
    """Layer normalisation over the last axis."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class EncoderLayer:
    """One encoder layer; d is the hidden size, the heads' sizes together.

    Attributes:
        heads: number of heads.
        qkv: the query, key and value projections as one, d -> 3 d.
        output: ``attention.output.dense``, the projection behind the heads.
        output_heads: its weight by head, [head, head_dim, d].
        query: [d, d] and bias [d], alone, for a layer whose only query is [CLS].
        key, value: [head, head_dim, d], likewise.
        value_bias: [head, head_dim].
    """

    heads: int
    qkv: Linear
    output: Linear
    output_heads: Tensor
    attention_norm: LayerNorm
    expand: Linear
    contract: Linear
    output_norm: LayerNorm
    query: Linear
    key: Tensor
    value: Tensor
    value_bias: Tensor

    def attend(self, states: Tensor) -> Tensor:
        """Compute the heads' contexts, their outputs before the projection.

        [..., position, d] -> [..., position, head, head_dim].
        """
        *lead, N, D = states.shape
        qkv = self.qkv(states).view(-1, N, 3, self.heads, D // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).contiguous().flatten(1, 2)  # each [pair head, position, head_dim]
        # Plain products: for texts this short they take two thirds of the time of a fused attention kernel.
        scores = torch.baddbmm(q.new_empty(1), q, k.transpose(1, 2), beta=0, alpha=q.shape[-1] ** -0.5)
        context = torch.softmax(scores, dim=-1) @ v
        return context.unflatten(0, (-1, self.heads)).transpose(1, 2).reshape(*lead, N, self.heads, -1)

    def first_rows(self, states: Tensor) -> Tensor:
        """Compute the attention of [CLS] over the positions, [..., position, d] -> [..., head, key].

        With one query, keys need not be formed: q (W x) = (q W) x. The key's bias adds the same to every score of a
        head, which softmax ignores.
        """
        *lead, N, D = states.shape
        x = states.view(-1, N, D)
        q = self.query(x[:, 0].contiguous()).view(-1, self.heads, D // self.heads)
        direction = torch.einsum("phc,hcd->phd", q, self.key) / (D // self.heads) ** 0.5
        return torch.softmax(direction @ x.transpose(1, 2), dim=-1).view(*lead, self.heads, N)

    def read_first(self, states: Tensor, rows: Tensor) -> Tensor:
        """Compute the contexts of [CLS] alone, [..., 1, head, head_dim], from its attention `rows` [..., head, key].

        Values need not be formed either: a mean of W x is W of the mean.
        """
        context = torch.einsum("...hd,hcd->...hc", rows @ states, self.value) + self.value_bias
        return context.unsqueeze(-3)

    def project(self, context: Tensor, residual: Tensor) -> Tensor:
        """Compute the output projection of contexts [..., head, head_dim], plus the layer's input [..., d]."""
        return self.output.add(context.flatten(-2), residual)

    def take_out(self, projected: Tensor, lost: Tensor, heads: np.ndarray) -> None:
        """Subtract, in place, contexts `lost` [..., touched, head_dim] of these heads from `projected` [..., d]."""
        weight = self.output_heads[heads].flatten(0, 1)
        projected.view(-1, projected.shape[-1]).addmm_(lost.flatten(-2).flatten(0, -2), weight, alpha=-1)

    def behind_heads(self, projected: Tensor) -> Tensor:
        """Compute the layer's output [..., d] from `project`'s result [..., d]."""
        x = self.attention_norm(projected)
        return self.output_norm(self.contract.add(self.expand(x), x))


@dataclass(frozen=True)
class AblatableEncoder:
    """Encoder with embeddings and classifier: ``classify(layers(embed(ids, types))[:, 0])``."""

    embed: Callable[[Tensor, Tensor], Tensor]
    layers: list[EncoderLayer]
    classify: Callable[[Tensor], Tensor]
    device: torch.device
    grades: int

    @classmethod
    def from_pretrained_model(cls, model: PreTrainedModel, dtype: torch.dtype = torch.float32) -> Self:
        """The model's encoder in `dtype`; embeddings and classifier stay the model's own, in float32.

        Packing copies the weights: one encoder serves all sweeps of a model.

        Raises:
            InputError: the architecture is none of FAMILIES.
        """
        check_family(str(model.name_or_path), str(model.config.model_type))
        base: Any = model.base_model
        classifier: Any = model.classifier
        project = getattr(base, "embeddings_project", torch.nn.Identity())
        pooler = getattr(base, "pooler", None)

        def embed(ids: Tensor, types: Tensor) -> Tensor:
            return project(base.embeddings(input_ids=ids, token_type_ids=types)).to(dtype)

        def classify(cls_states: Tensor) -> Tensor:
            states = cls_states.float()[:, None]
            return classifier(states if pooler is None else pooler(states))

        layers = [_encoder_layer(layer, model.config, dtype) for layer in base.encoder.layer]
        return cls(embed, layers, classify, model.device, int(model.config.num_labels or 0))

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and heads per layer."""
        return len(self.layers), self.layers[0].heads

    @property
    def head_size(self) -> int:
        return self.layers[0].value_bias.shape[1]

    def embed_pairs(self, encoded: EncodedPairs, pairs: np.ndarray) -> Tensor:
        """Embed pairs of one length as the input of the first layer [pair, position, d]."""
        tokens = encoded.positions(pairs)
        ids, types = (torch.from_numpy(array[tokens]).to(self.device) for array in (encoded.ids, encoded.types))
        return self.embed(ids, types)


def _encoder_layer(layer: Any, config: Any, dtype: torch.dtype) -> EncoderLayer:
    attention, heads = layer.attention.self, config.num_attention_heads
    projections = (attention.query, attention.key, attention.value)
    weights = [linear.weight.detach().to(dtype) for linear in projections]
    biases = [linear.bias.detach().to(dtype) for linear in projections]
    output, expand, contract = layer.attention.output.dense, layer.intermediate.dense, layer.output.dense

    def linear(module: torch.nn.Linear, **activation) -> Linear:
        return pack_linear(module.weight.detach().to(dtype), module.bias.detach().to(dtype), **activation)

    def norm(module: torch.nn.LayerNorm) -> LayerNorm:
        return LayerNorm(module.weight.detach().to(dtype), module.bias.detach().to(dtype), module.eps)

    return EncoderLayer(
        heads=heads,
        qkv=pack_linear(torch.cat(weights), torch.cat(biases)),
        output=linear(output),
        output_heads=output.weight.detach().to(dtype).t().contiguous().unflatten(0, (heads, -1)),
        attention_norm=norm(layer.attention.output.LayerNorm),
        expand=linear(expand, hidden_act=config.hidden_act, activation=layer.intermediate.intermediate_act_fn),
        contract=linear(contract),
        output_norm=norm(layer.output.LayerNorm),
        query=pack_linear(weights[0], biases[0]),
        key=weights[1].unflatten(0, (heads, -1)),
        value=weights[2].unflatten(0, (heads, -1)),
        value_bias=biases[2].unflatten(0, (heads, -1)),
    )
