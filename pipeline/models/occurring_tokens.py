"""Embeddings of the tokens that occur, while a model is trained: the rest of its vocabulary changes nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


@contextmanager
def embeddings_of_occurring_tokens(model: PreTrainedModel, ids: np.ndarray) -> Iterator[None]:
    """Hold the embeddings of `ids` alone as the model's parameter within the block.

    A step's gradient, its norm and the optimizer pass over the whole table: of BERT's 30,522 tokens a tenth of a step
    on the default corpus; of XLM-RoBERTa's 250,002 three more copies of 770 MB. A row without a gradient is only
    shrunk by weight decay; so one more row, of ones, tells by what factor the absent rows shrink. The model in
    evaluation mode, its `state_dict` and what it is after the block are those of the whole table, to rounding.

    Args:
        ids: indices of all tokens that training reads, padding among them; in evaluation mode others may come.
    """
    table: Any = model.get_input_embeddings()
    whole = table.weight
    occurring = _Occurring(whole.data, torch.from_numpy(np.unique(ids)).to(whole.device), table.padding_idx)
    table.weight = nn.Parameter(occurring.rows(), requires_grad=whole.requires_grad)
    table.forward = partial(_forward, table, occurring)
    handle = table.register_state_dict_post_hook(partial(_of_the_whole_table, occurring))
    try:
        yield
    finally:
        whole.data.copy_(occurring.whole(table.weight.data))
        handle.remove()
        del table.forward
        table.weight = whole


class _Occurring:
    """Rows `present` [row] of a table [token, d], and its other rows, which are not trained."""

    def __init__(self, table: Tensor, present: Tensor, padding_index: int | None):
        self.table, self.present = table, present
        self.row_of = torch.full((len(table),), len(present), device=table.device)
        self.row_of[present] = torch.arange(len(present), device=table.device)
        self.padding_row = None if padding_index is None else int(self.row_of[padding_index])

    def rows(self) -> Tensor:
        """Rows that are trained, the last one of ones: [row + 1, d]."""
        return torch.cat([self.table[self.present], torch.ones_like(self.table[:1])])

    def whole(self, rows: Tensor) -> Tensor:
        """Table [token, d] that trained `rows` leave."""
        whole = self.table * rows[-1]
        whole[self.present] = rows[:-1]
        return whole


def _forward(table: nn.Embedding, occurring: _Occurring, ids: Tensor) -> Tensor:
    rows = occurring.row_of[ids]
    vectors = nn.functional.embedding(rows, table.weight, occurring.padding_row)
    if table.training:
        return vectors
    is_absent = (rows == len(occurring.present)).unsqueeze(-1)
    return torch.where(is_absent, occurring.table[ids] * vectors, vectors)


def _of_the_whole_table(
    occurring: _Occurring, table: nn.Embedding, state: dict[str, Tensor], prefix: str, _: Any
) -> None:
    state[f"{prefix}weight"] = occurring.whole(table.weight.detach())
