"""ONNX Runtime with the heads' multipliers as an input of the graph: one file for all masks, one forward for each."""

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import PreTrainedModel

from tests.support.reference import masked_heads

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
HEADS = "heads"


class _MaskedLogits(nn.Module):
    """A model's logits with each head's output multiplied by its part of an input [layer, head]."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, heads: Tensor) -> Tensor:
        with masked_heads(self.model, heads):
            return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits


@lru_cache(maxsize=2)
def masked_session(model: PreTrainedModel) -> onnxruntime.InferenceSession:
    """Session of the model's graph with the input HEADS, float32 [layer, head], on as many threads as torch has."""
    config = model.config
    example = {name: torch.ones((2, 7), dtype=torch.int64) for name in INPUTS}
    example[HEADS] = torch.ones((config.num_hidden_layers, config.num_attention_heads))
    free = {0: Dim("batch"), 1: Dim("length", min=2)}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "masked.onnx"
        program = torch.onnx.export(
            _MaskedLogits(model).eval(),
            kwargs=example,
            dynamo=True,
            dynamic_shapes={**dict.fromkeys(INPUTS, free), HEADS: None},
            input_names=list(example),
            output_names=["logits"],
            verbose=False,
        )
        assert program is not None, "the exporter returns what it made"
        program.save(path)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def masked_forward(model: PreTrainedModel, inputs: dict[str, Tensor], mask: np.ndarray) -> np.ndarray:
    """Logits [pair, output] of padded inputs [pair, position] under a mask [layer, head]."""
    fed = {name: inputs[name].numpy() for name in INPUTS} | {HEADS: mask.astype(np.float32)}
    (logits,) = masked_session(model).run(None, fed)
    return logits
