"""Early stopping on dev: the one rule by which every model is trained, and the learning curve it leaves."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch

from pipeline.core.config import Training

Scores = dict[str, float | None]
# Dev score that the best epoch has highest, and the one that it has lowest among those, by kind of model.
BEST_BY = {"grader": ("qwk", "log_loss"), "ranker": ("ndcg_at_10", "pairwise_log_loss")}


@dataclass(frozen=True)
class Epoch:
    """Epoch of training (number 0: before the first), with the dev scores after it."""

    number: int
    train_loss: float | None
    dev: Scores

    def values(self) -> Scores:
        return {"train_loss": self.train_loss, **{f"dev_{name}": value for name, value in self.dev.items()}}


@dataclass(frozen=True)
class LearningCurve:
    """Learning curve of a model: its epochs, the number of the best, and how many were allowed.

    A model that was trained elsewhere has one epoch, number 0, and `max_epochs` 0; one that there was nothing to train
    on has none.
    """

    epochs: list[Epoch]
    best: int
    max_epochs: int

    @property
    def is_converged(self) -> bool:
        """Whether dev stopped improving before the last epoch allowed; no, too, where nothing was trained."""
        return self.best < self.max_epochs

    def metrics(self) -> dict[str, float | None]:
        """Epochs trained, the best of them, and converged (0 or 1; None where nothing was trained)."""
        trained = self.epochs[-1].number if self.epochs else 0
        return {"epochs": trained, "best_epoch": self.best, "converged": int(self.is_converged) if trained else None}

    def table(self) -> pd.DataFrame:
        """Table of the epochs, a row each: epoch, train_loss, dev_<metric>; empty where undefined."""
        table = pd.DataFrame([epoch.values() for epoch in self.epochs]).astype(float)
        table.insert(0, "epoch", [epoch.number for epoch in self.epochs])
        return table

    def points(self) -> list[tuple[str, float, int]]:
        """Points of the curve (metric, value, epoch), without undefined ones."""
        return [
            (name, value, epoch.number)
            for epoch in self.epochs
            for name, value in epoch.values().items()
            if value is not None
        ]


class EarlyStopping:
    """Early stopping with patience: training ends where dev stops improving, and the best epoch is kept.

    The best epoch is the one of highest dev "qwk" (quadratic weighted kappa), then of lowest "log_loss", then the
    earlier; of a ranker of highest "ndcg_at_10", then of lowest "pairwise_log_loss". `settings.patience` epochs in a
    row without a better one end the training, and so does the `settings.max_epochs`-th.

    Args:
        name: what is trained, before each line of progress.
        judge: scores the model, in its current state, on dev.
        settings: the same for every model, so that a comparison of two is no comparison of budgets.
        kind: of model, "grader" or "ranker".
        limit: the key of params.yaml that holds `settings.max_epochs`.
    """

    def __init__(
        self,
        name: str,
        judge: Callable[[], Scores],
        settings: Training,
        kind: str = "grader",
        limit: str = "training.max_epochs",
    ):
        self.name, self.judge, self.settings, self.limit = name, judge, settings, limit
        self.highest, self.then_lowest = BEST_BY[kind]
        self.epochs: list[Epoch] = []
        self._best: Epoch | None = None
        self._weights: dict[str, torch.Tensor] = {}

    @property
    def is_over(self) -> bool:
        """Whether no further epoch is to be trained."""
        done, best = len(self.epochs), self._best.number if self._best else 0
        return done == self.settings.max_epochs or done - best == self.settings.patience

    def end_epoch(self, model: torch.nn.Module, train_loss: float) -> None:
        """Score an epoch that has ended, and keep the model's weights if it is the best so far."""
        epoch = Epoch(len(self.epochs) + 1, train_loss, self.judge())
        self.epochs.append(epoch)
        if self._best is None or self._rank(epoch) > self._rank(self._best):
            self._best = epoch
            self._weights = {name: weight.detach().cpu().clone() for name, weight in model.state_dict().items()}
        scores = ", ".join(f"{name} {value:.3f}" for name, value in epoch.dev.items() if value is not None)
        self.print(f"epoch {epoch.number} of {self.settings.max_epochs} at most: train loss {train_loss:.3f}; {scores}")

    def restore_best(self, model: torch.nn.Module) -> LearningCurve:
        """Give the model the weights of its best epoch, in evaluation mode; warn where dev was still improving."""
        assert self._best is not None, "an epoch was trained"
        model.load_state_dict(self._weights)
        model.eval()
        curve = LearningCurve(self.epochs, self._best.number, self.settings.max_epochs)
        if not curve.is_converged:
            self.print(
                f"not converged: the best epoch, {curve.best}, is the last one allowed; "
                f"raise {self.limit} ({curve.max_epochs})"
            )
        return curve

    def print(self, line: str) -> None:
        """Print a line of progress."""
        print(f"{self.name}: {line}", file=sys.stderr, flush=True)

    def _rank(self, epoch: Epoch) -> tuple[float, float]:
        """Rank of an epoch, higher is better; an undefined score is the lowest."""
        high, low = epoch.dev[self.highest], epoch.dev[self.then_lowest]
        return -math.inf if high is None else high, -math.inf if low is None else -low
