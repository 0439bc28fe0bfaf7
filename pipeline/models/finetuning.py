"""Fine-tuning, with the best epoch on dev: by the objective, towards predictions, and on shuffled grades, as a null."""

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from pipeline.core.config import Params, with_values
from pipeline.models.checkpoints import Loaded
from pipeline.models.early_stopping import EarlyStopping, LearningCurve, Scores
from pipeline.models.inference import predict
from pipeline.models.tokenization import EncodedPairs, encode_split
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
    """Fine-tune a grader, or a ranker as finetune.objective says, on the grades.

    Args:
        train: the training split (columns grade and query_id); pairs: its pairs, encoded.
        params: finetune and run.seed are read.
    """
    return _fine_tune(model, pairs, train["grade"].to_numpy(), train, pad_id, stopping, params)


def fine_tune_to_predict(
    model: PreTrainedModel,
    pairs: EncodedPairs,
    train: pd.DataFrame,
    logits: np.ndarray,
    pad_id: int,
    stopping: EarlyStopping,
    params: Params,
) -> LearningCurve:
    """Distillation: fine-tune towards another model's predictions, a ranker by regression.

    Hinton et al. 2015, Distilling the knowledge in a neural network, at temperature 1.

    Args:
        logits: the other model's of the training pairs, float32 [pair, output].
    """
    if params.is_ranker:
        params = with_values(params, "finetune", objective="regression")
        return _fine_tune(model, pairs, logits[:, 0], train, pad_id, stopping, params)
    targets = torch.from_numpy(logits).softmax(dim=-1).numpy()
    return _fine_tune(model, pairs, targets, train, pad_id, stopping, params)


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


def _fine_tune(
    model: PreTrainedModel,
    pairs: EncodedPairs,
    targets: np.ndarray,
    train: pd.DataFrame,
    pad_id: int,
    stopping: EarlyStopping,
    params: Params,
) -> LearningCurve:
    """Train towards `targets` by the trainer of the kind of model, whose library is imported only here."""
    settings, seed = params.finetune, params.run.seed
    if params.is_ranker:
        from pipeline.models.ranking_training import fine_tune_ranker

        query_ids = train["query_id"].to_numpy()
        return fine_tune_ranker(model, pairs, targets, query_ids, pad_id, stopping, settings, seed)
    from pipeline.models.grading_training import fine_tune_grader

    return fine_tune_grader(model, pairs, targets, pad_id, stopping, settings, seed)
