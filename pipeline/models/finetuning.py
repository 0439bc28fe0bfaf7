"""Fine-tuning, with the best epoch on dev: of a grader, or by the objective; and on shuffled grades, as a null."""

import tempfile
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput

from pipeline.core.config import Finetune, Params, with_values
from pipeline.models.checkpoints import Loaded
from pipeline.models.early_stopping import EarlyStopping, LearningCurve, Scores
from pipeline.models.inference import predict
from pipeline.models.onednn_linear import linears_for_training
from pipeline.models.tokenization import EncodedPairs, collate, encode_split
from pipeline.models.trainer_setup import EpochCallback, LengthGroupedSampler, set_dropout, training_arguments
from pipeline.stats.measure_sets import measure_set
from pipeline.stats.split_metrics import split_metrics


def fine_tune_by_objective(
    model: PreTrainedModel,
    pairs: EncodedPairs,
    train: pd.DataFrame,
    pad_id: int,
    stopping: EarlyStopping,
    params: Params,
) -> LearningCurve:
    """`fine_tune` or `fine_tune_ranker`, as finetune.objective says.

    Args:
        train: the training split (columns grade and query_id); pairs: its pairs, encoded.
        params: finetune and run.seed are read.
    """
    grades, settings, seed = train["grade"].to_numpy(), params.finetune, params.run.seed
    if not params.is_ranker:
        return fine_tune(model, pairs, grades, pad_id, stopping, settings, seed)
    from pipeline.models.ranking_training import fine_tune_ranker  # its library takes seconds to import

    query_ids = train["query_id"].to_numpy()
    return fine_tune_ranker(model, pairs, grades, query_ids, pad_id, stopping, settings, seed)


def fine_tune_to_predict(
    model: PreTrainedModel,
    pairs: EncodedPairs,
    train: pd.DataFrame,
    logits: np.ndarray,
    pad_id: int,
    stopping: EarlyStopping,
    params: Params,
) -> LearningCurve:
    """Distillation: `fine_tune_by_objective` towards another model's predictions, of a ranker by regression.

    Hinton et al. 2015, Distilling the knowledge in a neural network, at temperature 1.

    Args:
        logits: the other model's of the training pairs, float32 [pair, output].
    """
    if not params.is_ranker:
        targets = torch.from_numpy(logits).softmax(dim=-1).numpy()
        return fine_tune(model, pairs, targets, pad_id, stopping, params.finetune, params.run.seed)
    params = with_values(params, "finetune", objective="regression")
    return fine_tune_by_objective(model, pairs, train.assign(grade=logits[:, 0]), pad_id, stopping, params)


def fine_tune(
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
    set_dropout(model, settings.dropout)
    with tempfile.TemporaryDirectory(prefix="finetune-") as folder, linears_for_training(model, model.device):
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


def fine_tune_on_shuffled_grades(
    start: Loaded, train: pd.DataFrame, dev: pd.DataFrame, params: Params
) -> PreTrainedModel:
    """Drift null of fine-tuning: `fine_tune_by_objective` on the same pairs, their grades shuffled.

    Args:
        start: the model before fine-tuning, trained in place, and its tokenizer.
        train, dev: prepared splits; dev's own grades choose the epoch.
        params: those of the real fine-tuning.
    """
    model, tokenizer = start
    pad_id = tokenizer.pad_token_id
    shuffled = train.assign(grade=np.random.default_rng([params.run.seed, 7]).permutation(train["grade"].to_numpy()))
    pairs, dev_pairs = (encode_split(tokenizer, split, params.model.max_length) for split in (train, dev))

    def judge() -> Scores:
        return split_metrics(dev, predict(model, dev_pairs, pad_id))[0]

    stopping = EarlyStopping("drift null", judge, params.training, measure_set(params.is_ranker).kind)
    fine_tune_by_objective(model, pairs, shuffled, pad_id, stopping, params)
    return model


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
