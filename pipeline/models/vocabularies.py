"""Vocabularies before and after fine-tuning: tokens that were added or renamed on the way, and their embeddings."""

import sys
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.core.errors import InputError

LISTED = 5
FIX = (
    "name the checkpoint it was fine-tuned from, or set model.pretrained_from to null, so that nothing is compared "
    "with before"
)


def check_same_heads(before: tuple[int, int], after: tuple[int, int]) -> None:
    """Raise InputError unless two models have the same (layers, heads)."""
    if before != after:
        raise InputError(
            f"model.pretrained_from has {before[0]} layers x {before[1]} heads, model.name {after[0]} x {after[1]}; "
            f"{FIX}"
        )


def check_vocabulary(before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Check that texts in the tokens of `after` can be read by the model of `before`; token -> index.

    Teams add tokens before fine-tuning, or give unused ones another name; all others must have kept their indices.

    Raises:
        InputError: a token was moved or dropped, or most are others.
    """
    renamed = {index for token, index in after.items() if token not in before}
    moved = [token for token, index in before.items() if after.get(token, index) != index]
    dropped = [token for token, index in before.items() if token not in after and index not in renamed]
    kept = len(before.keys() & after.keys())
    if moved or dropped or 2 * kept <= len(before):
        wrong = [f"{token!r} is {before[token]} there, {after[token]} here" for token in moved]
        wrong += [f"{token!r} is there alone" for token in dropped]
        shown = f" ({', '.join(wrong[:LISTED])})" if wrong else ""
        raise InputError(
            f"model.pretrained_from has another vocabulary ({len(before)} tokens) than model.name ({len(after)} "
            f"tokens){shown}; {FIX}"
        )


@torch.no_grad()
def add_tokens(model: PreTrainedModel, after: Mapping[str, int]) -> None:
    """Give a model before fine-tuning an embedding, the mean of all, for each token that it lacks, in place.

    Says on stderr how many.
    """
    table = _embeddings(model)
    rows, needed = len(table), max(after.values()) + 1
    if needed <= rows:
        return
    mean = table.mean(dim=0)
    cast(Any, model).resize_token_embeddings(needed, mean_resizing=False)
    _embeddings(model)[rows:] = mean
    print(
        f"attention: {needed - rows} tokens of model.name are none of model.pretrained_from's; before fine-tuning they "
        "have the mean of its embeddings",
        file=sys.stderr,
        flush=True,
    )


def _embeddings(model: PreTrainedModel) -> Tensor:
    """Embeddings [token, d] of the vocabulary."""
    module: Any = model
    return module.get_input_embeddings().weight
