"""Training of graders by transformers' Trainer, with the best epoch on dev."""

from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput

from pipeline.core.config import Finetune
from pipeline.models.early_stopping import EarlyStopping, LearningCurve
from pipeline.models.inference import collate
from pipeline.models.tokenization import EncodedPairs
from pipeline.models.trainer_setup import EpochCallback, LengthGroupedSampler, training_arguments, training_of


def fine_tune_grader(
    model: PreTrainedModel,
    pairs: EncodedPairs,
    grades: np.ndarray,
    pad_id: int,
    stopping: EarlyStopping,
    settings: Finetune,
    seed: int,
) -> LearningCurve:
    """Train a grader in place and leave it with the weights of its best epoch.

    Args:
        model: on the device it is to be trained on.
        pairs: the training pairs; grades: int [pair], or probabilities float32 [pair, grade]; the loss is the model's
            cross-entropy with them.
        pad_id: index of the padding token.
        stopping: scores each epoch and says when training ends; the learning rate falls to 0 at its `max_epochs`.
        seed: of the order of batches and of dropout. On a CPU the same seed gives the same weights, bit for bit.

    Raises:
        InputError: the loss is no longer finite.
    """
    with training_of(model, pairs, pad_id, settings) as folder:
        trainer = _Trainer(
            LengthGroupedSampler(pairs.lengths, settings.batch_size, seed),
            model=model,
            args=training_arguments(
                TrainingArguments,
                settings,
                settings.batch_size,
                stopping.settings.max_epochs,
                model.device,
                seed,
                folder,
            ),
            train_dataset=[{"pair": pair} for pair in range(len(pairs))],
            data_collator=lambda items: _batch(items, pairs, grades, pad_id),
            compute_loss_func=_soft_cross_entropy if grades.ndim == 2 else None,
            callbacks=[EpochCallback(stopping)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return stopping.restore_best(model)


class _Trainer(Trainer):
    def __init__(self, sampler: torch.utils.data.Sampler, **arguments: Any):
        self.sampler = sampler
        super().__init__(**arguments)

    def _get_train_sampler(self, *_: Any) -> torch.utils.data.Sampler:
        return self.sampler


def _batch(
    items: list[dict[str, Any]], pairs: EncodedPairs, grades: np.ndarray, pad_id: int
) -> dict[str, torch.Tensor]:
    chosen = np.asarray([item["pair"] for item in items])
    inputs = collate(pairs, chosen, pad_id, torch.device("cpu"))
    labels = grades[chosen] if grades.ndim == 2 else grades[chosen].astype(np.int64)
    return {**inputs, "labels": torch.from_numpy(labels)}


def _soft_cross_entropy(output: SequenceClassifierOutput, labels: torch.Tensor, **_: Any) -> torch.Tensor:
    assert output.logits is not None, "a classifier gives logits"
    return torch.nn.functional.cross_entropy(output.logits, labels)
