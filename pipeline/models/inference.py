"""Inference: logits of encoded pairs."""

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from pipeline.core.errors import InputError
from pipeline.models.tokenization import EncodedPairs, collate, length_batches

BATCH_TOKENS = 4096


def predict(model: PreTrainedModel, encoded: EncodedPairs, pad_id: int) -> np.ndarray:
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
