"""Inference: encoded pairs in batches of similar length, padded as a model's inputs, and its logits of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from pipeline.core.errors import InputError
from pipeline.models.tokenization import EncodedPairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH_TOKENS = 4096


def length_batches(lengths: np.ndarray, max_tokens: int) -> Iterator[np.ndarray]:
    """Batches of pair indices of similar length, at most `max_tokens` with padding (a longer pair goes alone)."""
    order = np.argsort(lengths, kind="stable")[::-1]
    start = 0
    while start < len(order):
        size = max(1, max_tokens // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


def collate(encoded: EncodedPairs, pairs: np.ndarray, pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Collate pairs as model inputs [pair, position], padded at the right to the longest of them."""
    lengths = encoded.lengths[pairs]
    filled = np.arange(lengths.max())[None, :] < lengths[:, None]
    source = np.concatenate([np.arange(encoded.starts[pair], encoded.starts[pair + 1]) for pair in pairs])
    ids = np.full(filled.shape, pad_id, dtype=np.int64)
    types = np.zeros(filled.shape, dtype=np.int64)
    ids[filled] = encoded.ids[source]
    types[filled] = encoded.types[source]
    return {
        "input_ids": torch.from_numpy(ids).to(device),
        "token_type_ids": torch.from_numpy(types).to(device),
        "attention_mask": torch.from_numpy(filled.astype(np.int64)).to(device),
    }


def predict(model: "PreTrainedModel", encoded: EncodedPairs, pad_id: int) -> np.ndarray:
    """Predict logits float32 [pair, output] in the order of the pairs; the model is left in evaluation mode.

    Raises:
        InputError: a logit is not finite.
    """
    model.eval()
    order, logits = [], []
    with torch.inference_mode():
        for pairs in length_batches(encoded.lengths, BATCH_TOKENS):
            output = model(**collate(encoded, pairs, pad_id, model.device))
            order.append(pairs)
            logits.append(output.logits.float().cpu().numpy())
    restored = np.concatenate(logits)[np.argsort(np.concatenate(order))]
    if not np.isfinite(restored).all():
        raise InputError(
            "the model's logits are not finite: its training diverged, lower finetune.learning_rate "
            "(where model.fine_tuned is true: the checkpoint model.name is damaged)"
        )
    return restored


def prediction_table(split: pd.DataFrame, logits: np.ndarray) -> pd.DataFrame:
    """Table of predictions, a row per pair, of logits [pair, output].

    query_id, grade; then of a grader predicted and logit_0.., of a ranker, which has one output, score.
    """
    table = split[["query_id", "grade"]].reset_index(drop=True)
    if logits.shape[1] == 1:
        return table.assign(score=logits[:, 0])
    table["predicted"] = logits.argmax(axis=1)
    for grade in range(logits.shape[1]):
        table[f"logit_{grade}"] = logits[:, grade]
    return table
