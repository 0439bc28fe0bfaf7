"""Linear layers through oneDNN while a model is trained: on a CPU that is not Intel's, PyTorch's own are slow.

PyTorch multiplies float32 matrices with MKL, which takes a slow path on other makers' processors: on one AMD EPYC
204 to 218 GFLOP/s against oneDNN's 456 to 507, on another (Zen 4) about 190 against 210. On Intel's the two are nearly
equal forward and MKL is ahead backward: through oneDNN a training step takes 1.6 times as long. Gradients of weights,
whose left side is transposed, stay with MKL: oneDNN copies that, and its result (a tenth of a step on Zen 4).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


def linears_for_training(model: nn.Module, device: torch.device) -> AbstractContextManager[None]:
    """`onednn_linears` where they are faster than PyTorch's own; else nothing."""
    return onednn_linears(model) if _is_faster(device) else nullcontext()


def _is_faster(device: torch.device) -> bool:
    if device.type != "cpu" or not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    return "Intel" not in torch.cpu.get_capabilities().get("cpu_name", "Intel")


@contextmanager
def onednn_linears(model: nn.Module) -> Iterator[None]:
    """Compute the model's float32 linear layers through oneDNN within the block, but for the weights' gradients.

    Exact to rounding, and the same bits from run to run. The weights stay where they are, for the optimizer.
    """
    linears = [module for module in model.modules() if type(module) is nn.Linear and module.weight.dtype == torch.float]
    for linear in linears:
        linear.forward = partial(_forward, linear)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for linear in linears:
            del linear.forward


def _forward(linear: nn.Linear, x: Tensor) -> Tensor:
    return _Linear.apply(x, linear.weight, linear.bias)


class _Linear(torch.autograd.Function):
    """``x @ weight.T + bias`` of x [..., in], weight [out, in] and bias [out] or None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # Rows that lie apart, as a pooler's first tokens, take oneDNN's reference code: a fifth of a training step.
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = gradient.flatten(0, -2)  # [row, out]
        return (
            _product(gradient, weight.t()) if of_x else None,
            rows.t() @ x.flatten(0, -2) if of_weight else None,
            rows.sum(dim=0) if of_bias else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
