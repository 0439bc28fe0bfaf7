"""Scoring chain: an encoder, pooling, then dense and normalisation layers down to one score a pair.

What sentence-transformers saves of a `CrossEncoder` of several modules, each behind the encoder in a folder of its own.
"""

from collections import OrderedDict
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

Pooling = Literal["cls", "mean"]


class ScoringChain(PreTrainedModel):
    """Encoder, pooling of its last states and a score of what is pooled.

    Attributes:
        encoder: the bare encoder, without a pooler of its own.
        pooling: "cls", the first token's state, or "mean", over the tokens that the attention mask keeps.
        score: `dense` and `layer_norm` parts in order, [.., d] -> [.., 1].
    """

    base_model_prefix = "encoder"
    # What the encoder supports is checked where it is made.
    _supports_sdpa = True

    def __init__(self, encoder: PreTrainedModel, pooling: Pooling, score: nn.Sequential) -> None:
        super().__init__(encoder.config)
        if getattr(encoder, "pooler", None) is not None:
            encoder.register_module("pooler", None)
        self.encoder, self.pooling, self.score = encoder, pooling, score

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **inputs: Any
    ) -> SequenceClassifierOutput:
        """Scores as logits [pair, 1]; `inputs` are the encoder's."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **inputs)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return SequenceClassifierOutput(
            logits=self.score(pool(output.last_hidden_state, mask, self.pooling)),
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def set_attn_implementation(self, attn_implementation: str | dict, allow_all_kernels: bool = False) -> None:
        """Set the encoder's attention implementation; nothing else in the chain attends."""
        self.encoder.set_attn_implementation(attn_implementation, allow_all_kernels)


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Pool states [pair, position, d] to [pair, d]. mask: [pair, position], 0 for padding, at the right."""
    if pooling == "cls":
        return states[:, 0]
    kept = mask.unsqueeze(-1).to(states.dtype)
    return (states * kept).sum(dim=1) / kept.sum(dim=1)


def dense(inputs: int, outputs: int, bias: bool, activation: nn.Module) -> nn.Sequential:
    """Build a dense part: ``linear`` and ``activation``."""
    return nn.Sequential(OrderedDict(linear=nn.Linear(inputs, outputs, bias=bias), activation=activation))


def layer_norm(dimension: int) -> nn.Sequential:
    """Build a layer normalisation part: ``norm``."""
    return nn.Sequential(OrderedDict(norm=nn.LayerNorm(dimension)))
