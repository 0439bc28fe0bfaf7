"""Linear layers and layer normalisation for inference, packed for the device that they run on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]

# hidden_act of a config -> (post-op, algorithm) of oneDNN's fused linear.
FUSED = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}
# The same as functions of one pass, where transformers' own take several.
ONE_PASS: dict[str, Activation] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}


class Linear:
    """Linear layer ``activation(x @ weight.T + bias)`` over the last axis.

    Args:
        weight: [out, in].
        bias: [out]; None for none.
        activation: applied to the result; None for none.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None):
        self.weight, self.bias, self.activation = weight, bias, activation

    def __call__(self, x: Tensor) -> Tensor:
        out = F.linear(x, self.weight, self.bias)
        return out if self.activation is None else self.activation(out)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """The layer's result plus `residual`."""
        return self(x) + residual

    def multiply(self, x: Tensor, factor: Tensor) -> Tensor:
        """The layer's result times `factor`."""
        return self(x) * factor


class PackedLinear(Linear):
    """Linear layer on a CPU through oneDNN: weights reordered once, activation and residual inside the matrix product.

    Measured here 1.2 to 1.4 times as fast as ``F.linear`` in float32 (docs/benchmarks.md).
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        activation: Activation | None = None,
        fused: tuple[str, str] = ("none", ""),
    ):
        super().__init__(torch.ops.mkldnn._reorder_linear_weight(weight.contiguous()), bias, activation)
        self.fused = fused

    def __call__(self, x: Tensor) -> Tensor:
        post_op, algorithm = self.fused
        out = torch.ops.mkldnn._linear_pointwise.default(x, self.weight, self.bias, post_op, [], algorithm)
        return out if self.activation is None else self.activation(out)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.weight, self.bias, "add")

    def multiply(self, x: Tensor, factor: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x, factor, self.weight, self.bias, "mul")


def pack_linear(
    weight: Tensor, bias: Tensor | None, hidden_act: str | None = None, activation: Activation | None = None
) -> Linear:
    """Pack a linear layer into the fastest exact form on the weight's device.

    Args:
        weight: [out, in].
        bias: [out]; None for none.
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
    bias: Tensor | None
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

    def with_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The result, and the scale of each row, 1 / its standard deviation, [..., 1]."""
        normalised, _, scale = torch.native_layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        return normalised, scale


class NormalisedLinear:
    """Linear layer behind a layer normalisation, ``norm(x) @ weight.T + bias``, as ``scale * image(x) + shift``.

    The normalisation takes off the mean of a row, which is linear, and then scales the row: what a head takes out of x,
    of rank head_dim, is taken out of the image by a product of that rank, and only the scale is computed anew.

    Args:
        norm: over the input's axis.
        weight: [out, in].
        bias: [out]; None for none.
        heads: weights by which heads write to x, [head, head_dim, in].

    Attributes:
        image: x [..., in] -> [..., out].
        heads: the images of these weights, [head, head_dim, out].
        shift: [out].
    """

    def __init__(self, norm: LayerNorm, weight: Tensor, bias: Tensor | None, heads: Tensor):
        scaled = weight * norm.weight
        centred = scaled - scaled.mean(dim=1, keepdim=True)
        self.image, self.heads = pack_linear(centred, None), heads @ centred.t()
        self.shift = torch.zeros_like(weight[:, 0]) if bias is None else bias
        if norm.bias is not None:
            self.shift = self.shift + weight @ norm.bias

    def finish(self, image: Tensor, scale: Tensor) -> Tensor:
        """The layer's result, in the place of the image [..., out], from the scale of each row [..., 1]."""
        return image.mul_(scale).add_(self.shift)
