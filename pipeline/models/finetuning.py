"""Fine-tuning of a sequence classifier, with the best epoch on dev; and on shuffled grades, as a null."""

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from pipeline.core.config import Finetune
from pipeline.core.errors import InputError
from pipeline.models.checkpoints import Loaded
from pipeline.models.inference import predict
from pipeline.models.tokenization import EncodedPairs, collate, encode_split
from pipeline.stats.metrics import split_metrics

Scores = dict[str, float | None]
SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Epoch:
    """Epoch of training (number 0: before the first), with the dev scores after it."""

    number: int
    train_loss: float | None
    dev: Scores


def fine_tune(
    model: PreTrainedModel,
    pairs: EncodedPairs,
    grades: np.ndarray,
    pad_id: int,
    judge: Callable[[], Scores],
    settings: Finetune,
    seed: int,
) -> tuple[list[Epoch], int]:
    """Train `model` in place and leave it with the weights of its best epoch.

    Args:
        model: on the device it is to be trained on; its loss is the cross-entropy of one output a grade.
        pairs: the training pairs; grades: int [pair].
        pad_id: index of the padding token.
        judge: scores the model, in its current state, on dev; the best epoch is the one of highest "qwk" (then lowest
            "log_loss", then the earlier).
        settings: epochs 0 trains nothing: the one epoch returned has number 0.
        seed: of the order of batches and of dropout. On a CPU the same seed gives the same weights, bit for bit.

    Returns:
        Every epoch, and the number of the best one.

    Raises:
        InputError: the loss is no longer finite.
    """
    if settings.epochs == 0:
        return [Epoch(0, None, judge())], 0
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = settings.dropout
    watch = _EpochCallback(judge)
    with tempfile.TemporaryDirectory(prefix="finetune-") as folder:
        trainer = _Trainer(
            LengthGroupedSampler(pairs.lengths, settings.batch_size, seed),
            model=model,
            args=_arguments(settings, model.device, seed, folder),
            train_dataset=[{"pair": pair} for pair in range(len(pairs))],
            data_collator=lambda items: _batch(items, pairs, grades, pad_id),
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    model.load_state_dict(watch.best_weights)
    model.eval()
    return watch.epochs, watch.best


def fine_tune_on_shuffled_grades(
    start: Loaded, train: pd.DataFrame, dev: pd.DataFrame, max_length: int, settings: Finetune, seed: int
) -> PreTrainedModel:
    """Drift null of fine-tuning: `fine_tune` on the same pairs, their grades shuffled.

    Args:
        start: the model before fine-tuning, trained in place, and its tokenizer.
        train, dev: prepared splits; dev's own grades choose the epoch.
        max_length: tokens of a pair at most.
        settings, seed: as of the real fine-tuning.
    """
    model, tokenizer = start
    pad_id = tokenizer.pad_token_id
    grades = np.random.default_rng([seed, 7]).permutation(train["grade"].to_numpy())
    pairs, dev_pairs = (encode_split(tokenizer, split, max_length) for split in (train, dev))

    def judge() -> Scores:
        return split_metrics(dev, predict(model, dev_pairs, pad_id))[0]

    fine_tune(model, pairs, grades, pad_id, judge, settings, seed)
    return model


def curve_table(epochs: list[Epoch]) -> pd.DataFrame:
    """Table of the learning curve, a row per epoch: epoch, train_loss, dev_<metric>; empty where undefined."""
    table = pd.DataFrame([_flat(epoch) for epoch in epochs]).astype(float)
    table.insert(0, "epoch", [epoch.number for epoch in epochs])
    return table


def curve_points(epochs: list[Epoch]) -> list[tuple[str, float, int]]:
    """Points of the learning curve (metric, value, epoch), without undefined ones."""
    return [
        (name, value, epoch.number) for epoch in epochs for name, value in _flat(epoch).items() if value is not None
    ]


def _flat(epoch: Epoch) -> Scores:
    return {"train_loss": epoch.train_loss, **{f"dev_{name}": value for name, value in epoch.dev.items()}}


def _arguments(settings: Finetune, device: torch.device, seed: int, folder: str) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=settings.epochs,
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
    """Callback that scores each epoch, keeps the weights of the best, and prints progress."""

    def __init__(self, judge: Callable[[], Scores]):
        self.judge = judge
        self.epochs: list[Epoch] = []
        self.best = 0
        self.best_weights: dict[str, torch.Tensor] = {}
        self.last_line = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        if time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self._print(f"step {state.global_step} of {state.max_steps}")

    def on_log(self, args, state, control, model=None, logs=None, **kwargs):
        if "loss" not in logs:  # the summary at the end of the training
            return
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"finetune.learning_rate {args.learning_rate} lets the training loss become {logs['loss']}; lower it"
            )
        epoch = Epoch(len(self.epochs) + 1, logs["loss"], self.judge())
        self.epochs.append(epoch)
        if epoch.number == 1 or _rank(epoch) > _rank(self.epochs[self.best - 1]):
            self.best = epoch.number
            self.best_weights = {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}
        scores = ", ".join(f"{name} {value:.3f}" for name, value in epoch.dev.items() if value is not None)
        self._print(f"epoch {epoch.number} of {args.num_train_epochs:.0f}: train loss {epoch.train_loss:.3f}; {scores}")

    def _print(self, line: str) -> None:
        print(f"finetune: {line}", file=sys.stderr, flush=True)
        self.last_line = time.monotonic()


def _rank(epoch: Epoch) -> tuple[float, float]:
    """Rank of an epoch, higher is better; an undefined score is the lowest."""
    qwk, log_loss = epoch.dev["qwk"], epoch.dev["log_loss"]
    return -math.inf if qwk is None else qwk, -math.inf if log_loss is None else -log_loss
