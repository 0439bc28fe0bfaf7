"""Precisions of a sweep's matrix products: float32, and those that are faster and rounded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from pipeline.core.errors import InputError

AMPERE = (8, 0)  # compute capability of the first GPUs whose products take TF32
# Of the logits' size: float32 rounds to 6e-8, and every layer adds to that. Of fine-tuned models 1.2e-5 has been seen,
# two kernels that sum in another order; a part that is computed in another way shows at 1e-2 and above.
FLOAT32_BOUND, LEAST_BOUND = 1e-5, 1e-4


@dataclass(frozen=True)
class Precision:
    """Precision of the matrix products of a sweep; their sums and softmax are float32's.

    Attributes:
        name: as ablation.precision has it.
        dtype: of weights and states.
        rounding: largest relative error of a number that enters a product.
        takes_tf32: whether a GPU's products round their float32 numbers to TF32, ten bits behind the point.
    """

    name: str
    dtype: torch.dtype
    rounding: float
    takes_tf32: bool = False

    @property
    def error_bound(self) -> float:
        """Largest difference of a logit from the framework's that rounding explains, over the logits' size."""
        return max(LEAST_BOUND, FLOAT32_BOUND * self.rounding / FLOAT32.rounding)

    @contextmanager
    def products(self, device: torch.device) -> Iterator[None]:
        """Compute a block's products on a GPU in this precision; the process's settings come back. A CPU has none.

        Attention is kept from cuDNN, which compiles a plan for every shape of a stack.
        """
        if device.type != "cuda":
            yield
            return
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cuda.cudnn_sdp_enabled()
        before = matmul.fp32_precision
        matmul.fp32_precision = "tf32" if self.takes_tf32 else "ieee"
        torch.backends.cuda.enable_cudnn_sdp(False)
        try:
            yield
        finally:
            matmul.fp32_precision = before
            torch.backends.cuda.enable_cudnn_sdp(cudnn)

    def check_device(self, device: torch.device) -> None:
        """Raise InputError where the device has no products of this precision."""
        if self.takes_tf32 and (device.type != "cuda" or torch.cuda.get_device_capability(device) < AMPERE):
            where = "a CPU" if device.type == "cpu" else f"this GPU ({torch.cuda.get_device_name(device)})"
            raise InputError(
                f"params.yaml: ablation.precision is {self.name!r}, which {where} does not have: NVIDIA GPUs from "
                "Ampere on (compute capability 8.0) do; set it to 'float32' or 'bfloat16', or run.device to such a GPU"
            )


FLOAT32 = Precision("float32", torch.float32, 2.0**-24)
TF32 = Precision("tf32", torch.float32, 2.0**-11, takes_tf32=True)
BFLOAT16 = Precision("bfloat16", torch.bfloat16, 2.0**-8)
PRECISIONS = {precision.name: precision for precision in (FLOAT32, TF32, BFLOAT16)}
