"""Training of rankers by sentence-transformers' trainer, with the best epoch on dev."""

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from transformers import PreTrainedModel, PrinterCallback

from pipeline.core.config import Finetune
from pipeline.models.early_stopping import EarlyStopping, LearningCurve
from pipeline.models.inference import collate
from pipeline.models.ranking_objectives import PairScorer, as_cross_encoder, ranking_loss, ranking_samples
from pipeline.models.tokenization import EncodedPairs
from pipeline.models.trainer_setup import EpochCallback, LengthGroupedSampler, training_arguments, training_of

CPU = torch.device("cpu")


def fine_tune_ranker(
    model: PreTrainedModel,
    pairs: EncodedPairs,
    grades: np.ndarray,
    query_ids: np.ndarray,
    pad_id: int,
    stopping: EarlyStopping,
    settings: Finetune,
    seed: int,
) -> LearningCurve:
    """Train a model of one score a pair in place and leave it with the weights of its best epoch.

    Args:
        model: on the device it is to be trained on; its one output is the score.
        pairs: the training pairs; grades: numbers, higher is better, [pair]; query_ids: [pair].
        pad_id, stopping, seed: as of `grading_training.fine_tune_grader`.
        settings: with the objective, see `ranking_objectives`; batch_size: pairs a step, of list losses about as many.

    Raises:
        InputError: the loss is no longer finite; the pairs have nothing that the objective could learn.
    """
    samples = ranking_samples(settings.objective, query_ids, grades, settings.batch_size, seed)
    scorer = PairScorer(model, lambda chosen: collate(pairs, chosen, pad_id, CPU))
    wrapped, epochs = as_cross_encoder(scorer, model.device), stopping.settings.max_epochs
    with training_of(model, pairs, pad_id, settings) as folder:
        trainer = _Trainer(
            LengthGroupedSampler(samples.longest(pairs.lengths), samples.per_step, seed),
            model=wrapped,
            args=training_arguments(
                CrossEncoderTrainingArguments, settings, samples.per_step, epochs, model.device, seed, folder
            ),
            train_dataset=Dataset.from_dict(samples.columns()),
            loss=ranking_loss(settings.objective, wrapped),
            callbacks=[EpochCallback(stopping)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return stopping.restore_best(wrapped)


class _Trainer(CrossEncoderTrainer):
    """Trainer of samples of similar length a batch, without a model card, for which the library asks the hub."""

    def __init__(self, sampler: LengthGroupedSampler, **arguments: Any):
        self.sampler = sampler
        super().__init__(**arguments)

    def get_batch_sampler(self, *_: Any, **__: Any) -> torch.utils.data.BatchSampler:
        return torch.utils.data.BatchSampler(self.sampler, self.sampler.batch_size, drop_last=False)

    def add_model_card_callback(self, *_: Any) -> None:
        pass
