"""Fine-tuning of a sequence classifier, with the best epoch on dev; and on shuffled grades, as a null."""

import math
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from pipeline.core.config import Finetune, Params
from pipeline.core.errors import InputError
from pipeline.models.checkpoints import Loaded
from pipeline.models.early_stopping import EarlyStopping, LearningCurve, Scores
from pipeline.models.inference import predict
from pipeline.models.onednn_linear import linears_for_training
from pipeline.models.tokenization import EncodedPairs, collate, encode_split
from pipeline.stats.metrics import split_metrics

SECONDS_BETWEEN_LINES = 10.0


def fine_tune(
    model: PreTrainedModel,
    pairs: EncodedPairs,
    grades: np.ndarray,
    pad_id: int,
    stopping: EarlyStopping,
    settings: Finetune,
    seed: int,
) -> LearningCurve:
    """Train `model` in place and leave it with the weights of its best epoch.

    Args:
        model: on the device it is to be trained on; its loss is the cross-entropy of one output a grade.
        pairs: the training pairs; grades: int [pair].
        pad_id: index of the padding token.
        stopping: scores each epoch and says when training ends; the learning rate falls to 0 at its `max_epochs`.
        seed: of the order of batches and of dropout. On a CPU the same seed gives the same weights, bit for bit.

    Raises:
        InputError: the loss is no longer finite.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = settings.dropout
    with tempfile.TemporaryDirectory(prefix="finetune-") as folder, linears_for_training(model, model.device):
        trainer = _Trainer(
            LengthGroupedSampler(pairs.lengths, settings.batch_size, seed),
            model=model,
            args=_arguments(settings, stopping.settings.max_epochs, model.device, seed, folder),
            train_dataset=[{"pair": pair} for pair in range(len(pairs))],
            data_collator=lambda items: _batch(items, pairs, grades, pad_id),
            callbacks=[_EpochCallback(stopping)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return stopping.restore_best(model)


def fine_tune_on_shuffled_grades(
    start: Loaded, train: pd.DataFrame, dev: pd.DataFrame, params: Params
) -> PreTrainedModel:
    """Drift null of fine-tuning: `fine_tune` on the same pairs, their grades shuffled.

    Args:
        start: the model before fine-tuning, trained in place, and its tokenizer.
        train, dev: prepared splits; dev's own grades choose the epoch.
        params: those of the real fine-tuning.
    """
    model, tokenizer = start
    pad_id = tokenizer.pad_token_id
    grades = np.random.default_rng([params.run.seed, 7]).permutation(train["grade"].to_numpy())
    pairs, dev_pairs = (encode_split(tokenizer, split, params.model.max_length) for split in (train, dev))

    def judge() -> Scores:
        return split_metrics(dev, predict(model, dev_pairs, pad_id))[0]

    stopping = EarlyStopping("drift null", judge, params.training)
    fine_tune(model, pairs, grades, pad_id, stopping, params.finetune, params.run.seed)
    return model


def _arguments(settings: Finetune, max_epochs: int, device: torch.device, seed: int, folder: str) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=max_epochs,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch_size,
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="linear",
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
        use_cpu=device.type == "cpu",
        seed=seed,
        data_seed=seed,
    )
    # Several GPUs would each take a whole batch, and so train another model than one GPU does.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


class LengthGroupedSampler(torch.utils.data.Sampler[int]):
    """Sampler of batches of pairs of similar length, in random order of batches.

    The Trainer's own grouping runs from long to short batches within each block, so that successive steps see the same
    kinds of pair: on the default corpus that costs much of an epoch's learning.
    """

    BLOCK = 50  # batches sorted together: longer blocks pad less, shorter ones mix more

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int):
        self.lengths, self.batch_size = lengths, batch_size
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order, size = self.rng.permutation(len(self.lengths)), self.batch_size
        blocks = [order[start : start + self.BLOCK * size] for start in range(0, len(order), self.BLOCK * size)]
        ordered = np.concatenate([block[np.argsort(self.lengths[block], kind="stable")] for block in blocks])
        whole, rest = np.split(ordered, [len(ordered) // size * size])
        yield from self.rng.permutation(whole.reshape(-1, size)).ravel().tolist()
        yield from rest.tolist()


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
    return {**inputs, "labels": torch.from_numpy(grades[chosen].astype(np.int64))}


class _EpochCallback(TrainerCallback):
    """Callback that hands each epoch to early stopping, and prints progress within it."""

    def __init__(self, stopping: EarlyStopping):
        self.stopping = stopping
        self.last_line = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        if time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.stopping.print(f"step {state.global_step} of {state.max_steps} at most")
            self.last_line = time.monotonic()

    def on_log(self, args, state, control, model=None, logs=None, **kwargs):
        if "loss" not in logs:  # the summary at the end of the training
            return
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"finetune.learning_rate {args.learning_rate} lets the training loss become {logs['loss']}; lower it"
            )
        self.stopping.end_epoch(model, logs["loss"])
        control.should_training_stop = self.stopping.is_over
        self.last_line = time.monotonic()
