"""What the trainers of graders and rankers share: their arguments, batches of similar length, the end of an epoch."""

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments

from pipeline.core.config import Finetune
from pipeline.core.errors import InputError
from pipeline.models.early_stopping import EarlyStopping
from pipeline.models.last_layer import last_layer_at_cls
from pipeline.models.occurring_tokens import embeddings_of_occurring_tokens
from pipeline.models.onednn_linear import linears_for_training
from pipeline.models.short_texts import plain_attention_of_short_texts
from pipeline.models.tokenization import EncodedPairs

SECONDS_BETWEEN_LINES = 10.0
Arguments = TypeVar("Arguments", bound=TrainingArguments)


@contextmanager
def training_of(model: PreTrainedModel, pairs: EncodedPairs, pad_id: int, settings: Finetune) -> Iterator[str]:
    """Let the model be trained on `pairs` as fast as it can within the block; gives a folder for a trainer's files."""
    set_dropout(model, settings.dropout)
    with (
        tempfile.TemporaryDirectory(prefix="finetune-") as folder,
        embeddings_of_occurring_tokens(model, np.append(pairs.ids, pad_id)),
        linears_for_training(model, model.device),
        last_layer_at_cls(model),
        plain_attention_of_short_texts(model),
    ):
        yield folder


def set_dropout(model: torch.nn.Module, share: float) -> None:
    """Set the share of values that the model's dropout layers drop in training."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share


def training_arguments(
    kind: type[Arguments],
    settings: Finetune,
    batch_size: int,
    max_epochs: int,
    device: torch.device,
    seed: int,
    folder: str,
) -> Arguments:
    """Arguments of a trainer that writes nothing; `kind`: their class, `batch_size`: samples a step."""
    arguments = kind(
        output_dir=folder,
        num_train_epochs=max_epochs,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=batch_size,
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
    """Sampler of batches of samples of similar length, in random order of batches.

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


class EpochCallback(TrainerCallback):
    """Callback that hands each epoch to early stopping, and prints progress within it."""

    def __init__(self, stopping: EarlyStopping):
        self.stopping = stopping
        self.last_line = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.stopping.print(f"step {state.global_step} of {state.max_steps} at most")
            self.last_line = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, model: Any = None, logs: Any = None, **kwargs: Any) -> None:
        if "loss" not in logs:  # the summary at the end of the training
            return
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"finetune.learning_rate {args.learning_rate} lets the training loss become {logs['loss']}; lower it"
            )
        self.stopping.end_epoch(model, logs["loss"])
        control.should_training_stop = self.stopping.is_over
        self.last_line = time.monotonic()
