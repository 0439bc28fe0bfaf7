"""Recovery: smaller models trained again on the training pairs, to grade as before or to predict as the whole model."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.core.config import Params, Training, with_values
from pipeline.models.early_stopping import EarlyStopping, Scores
from pipeline.models.finetuning import fine_tune_by_objective, fine_tune_to_predict
from pipeline.models.inference import predict
from pipeline.models.removal import Kept, pruned_model
from pipeline.models.tokenization import EncodedPairs, encode_split
from pipeline.stats.measure_sets import measure_set
from pipeline.stats.split_metrics import split_metrics


@dataclass(frozen=True)
class Recovery:
    """Training of a model's smaller forms, each from the model's weights, by the same steps.

    Attributes:
        whole: the model, which is left as it is.
        tokenizer: its own.
        train, dev: splits; dev chooses the epoch.
        params: pruning, finetune, model.max_length and run.seed are read.
    """

    whole: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    train: pd.DataFrame
    dev: pd.DataFrame
    params: Params

    def trained(self, kept: Kept) -> PreTrainedModel:
        """Train the form that keeps `kept` for pruning.recovery_epochs epochs; the best by dev is kept.

        Raises:
            InputError: as `fine_tune_by_objective`.
        """
        settings, pad_id = self.params.pruning, self.tokenizer.pad_token_id
        model = pruned_model(self.whole, kept)

        def judge() -> Scores:
            return split_metrics(self.dev, predict(model, self._dev_pairs, pad_id))[0]

        epochs = Training(max_epochs=settings.recovery_epochs, patience=settings.recovery_epochs)
        kind = measure_set(self.params.is_ranker).kind
        stopping = EarlyStopping("pruning", judge, epochs, kind, "pruning.recovery_epochs")
        params = with_values(self.params, "finetune", learning_rate=settings.recovery_learning_rate)
        if settings.recovery_targets == "predictions":
            targets = self._targets
            fine_tune_to_predict(model, self._train_pairs, self.train, targets, pad_id, stopping, params)
        else:
            fine_tune_by_objective(model, self._train_pairs, self.train, pad_id, stopping, params)
        return model

    @cached_property
    def _targets(self) -> np.ndarray:
        return predict(self.whole, self._train_pairs, self.tokenizer.pad_token_id)

    @cached_property
    def _train_pairs(self) -> EncodedPairs:
        return encode_split(self.tokenizer, self.train, self.params.model.max_length)

    @cached_property
    def _dev_pairs(self) -> EncodedPairs:
        return encode_split(self.tokenizer, self.dev, self.params.model.max_length)
