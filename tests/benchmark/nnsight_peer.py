"""nnsight: the framework's forward, traced, in which the heads' outputs are written."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel


@lru_cache(maxsize=2)
def _traced(model: PreTrainedModel) -> Any:
    # Imported here since it gives every object of the process a method `save`, which hides that of others.
    from nnsight import NNsight
    from nnsight._c import unmount

    if unmount is not None:
        unmount("save")
    with warnings.catch_warnings(action="ignore"):  # that the module `output` is called E_output
        return NNsight(model)


@torch.no_grad()
def traced_forward(model: PreTrainedModel, inputs: dict[str, Tensor], mask: np.ndarray) -> np.ndarray:
    """Logits [pair, output] of padded inputs [pair, position] under a mask [layer, head]."""
    traced = _traced(model)
    from nnsight import save

    with traced.trace(**inputs):
        for layer, row in enumerate(torch.from_numpy(mask)):
            if (row != 1).any():
                dense = traced.bert.encoder.layer[layer].attention.E_output.dense
                dense.input = (dense.input.unflatten(-1, (len(row), -1)) * row[:, None]).flatten(-2)
        logits = save(traced.output.logits)
    return logits.numpy()
