"""Training and logits of the baseline model, on the CPU: it is small, and LSTMs on a GPU do not repeat bit for bit."""

import math
import sys
from collections.abc import Callable

import numpy as np
import torch

from pipeline.errors import InputError
from pipeline.model.bilstm import InteractiveBiLSTM
from pipeline.model.words import WordPairs
from pipeline.params import Baseline

PATIENCE = 3  # epochs without a better one before the training stops
MAX_NORM = 10.0  # of a step's gradient
PREDICTED_PAIRS = 256  # pairs a batch


def train_baseline(
    model: InteractiveBiLSTM,
    pairs: WordPairs,
    grades: np.ndarray,
    judge: Callable[[], float],
    settings: Baseline,
    seed: int,
) -> int:
    """Train `model` in place, stop early, and leave it with the weights of its best epoch.

    Args:
        model: see `build_baseline`.
        pairs: the training pairs; grades: int [pair].
        judge: scores the model, as it stands, on dev; the best epoch is the one of the highest score, the earliest
            of several.
        settings: epochs at most, learning_rate and batch_size.
        seed: of the order of pairs and of dropout. The same seed gives the same weights, bit for bit.

    Returns:
        The number of the best epoch, counted from 1.

    Raises:
        InputError: from a judge that takes `baseline_logits`: they are no longer finite.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    targets = torch.from_numpy(grades.astype(np.int64))
    best, best_score = 0, -math.inf
    best_weights: dict[str, torch.Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for epoch in range(1, settings.epochs + 1):
            loss = _train_epoch(model, optimizer, pairs, targets, settings.batch_size)
            score = judge()
            print(f"baseline: epoch {epoch}: train loss {loss:.3f}; dev {score:.3f}", file=sys.stderr, flush=True)
            if score > best_score:
                best, best_score = epoch, score
                best_weights = {name: weight.clone() for name, weight in model.state_dict().items()}
            if epoch - best == PATIENCE:
                break
    model.load_state_dict(best_weights)
    model.eval()
    return best


def build_baseline(words: int, grades: int, settings: Baseline, seed: int) -> InteractiveBiLSTM:
    """A model of random weights drawn from `seed`, for numbers below `words` and so many grades."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return InteractiveBiLSTM(words, grades, settings)


def baseline_logits(model: InteractiveBiLSTM, pairs: WordPairs) -> np.ndarray:
    """Logits float32 [pair, grade]; the model is left in evaluation mode.

    Raises:
        InputError: a logit is not finite.
    """
    model.eval()
    with torch.inference_mode():
        chunks = torch.arange(len(pairs)).split(PREDICTED_PAIRS)
        logits = torch.cat([model(*pairs.batch(chunk.tolist())) for chunk in chunks]).numpy()
    if not np.isfinite(logits).all():
        raise InputError("the baseline's logits are not finite: its training diverged, lower baseline.learning_rate")
    return logits


def _train_epoch(
    model: InteractiveBiLSTM,
    optimizer: torch.optim.Optimizer,
    pairs: WordPairs,
    targets: torch.Tensor,
    batch_size: int,
) -> float:
    """One pass over the pairs in random order; returns the mean loss of a step."""
    model.train()
    losses = []
    for chosen in torch.randperm(len(pairs)).split(batch_size):
        loss = torch.nn.functional.cross_entropy(model(*pairs.batch(chosen.tolist())), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))
