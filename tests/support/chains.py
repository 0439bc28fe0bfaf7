"""A chain of an encoder, a pooling and scoring modules, as rerankers of one score are built."""

from types import SimpleNamespace
from typing import Any

import torch
from transformers import AutoModel, PreTrainedModel

from tests.support.builders import random_classifier


class ChainedScorer(PreTrainedModel):
    """Pooled last states of a bare encoder through a dense layer, a normalisation and a dense layer of one output."""

    base_model_prefix = "encoder"
    _supports_sdpa = True

    def __init__(self, encoder: PreTrainedModel, pooling: str):
        super().__init__(encoder.config)
        size = encoder.config.hidden_size
        self.encoder, self.pooling = encoder, pooling
        self.modules_behind = torch.nn.Sequential(
            torch.nn.Linear(size, size), torch.nn.GELU(), torch.nn.LayerNorm(size), torch.nn.Linear(size, 1)
        )

    def score(self, pooled: torch.Tensor) -> torch.Tensor:
        return self.modules_behind(pooled)

    def forward(self, attention_mask: torch.Tensor, **inputs: Any) -> SimpleNamespace:
        states = self.encoder(attention_mask=attention_mask, **inputs).last_hidden_state
        shares = attention_mask / attention_mask.sum(dim=1, keepdim=True)
        pooled = states[:, 0] if self.pooling == "cls" else torch.einsum("pnd,pn->pd", states, shares)
        return SimpleNamespace(logits=self.score(pooled))


def random_chain(family: str, pooling: str, **config: Any) -> ChainedScorer:
    """A chain with random weights."""
    encoder = AutoModel.from_config(random_classifier(family, **config).config)
    encoder.load_state_dict(random_classifier(family, **config).base_model.state_dict(), strict=False)
    return ChainedScorer(encoder, pooling).eval()
