"""A sweep in bfloat16 whose close calls are evaluated again in float32."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.ablation.encoder import from_pretrained_model
from pipeline.ablation.engine import AblationEngine, Observer
from pipeline.ablation.sweep_cache import NoCache, SweepCache
from pipeline.models.tokenization import EncodedPairs

AUDITED_PAIRS = 32  # pairs on which the result is compared with float32


@dataclass(frozen=True)
class Rounded:
    """A sweep's logits float32 [intervention, pair, grade], and how they came about.

    Attributes:
        error: largest difference of a logit from float32 on the unmasked model, over all pairs.
        observed: the observers' arrays, as rounded.
        evaluated_again: share of (intervention, pair) done again in float32: those whose two best logits lie within
            twice that error, since either may have moved by it.
    """

    logits: np.ndarray
    observed: dict[str, np.ndarray]
    error: float
    evaluated_again: float


@dataclass(frozen=True)
class Audit:
    """Predictions of a rounded sweep that are not float32's, among the (intervention, pair) sampled."""

    sweep: Rounded
    sampled: int
    differing: int

    def report(self) -> dict[str, float | int]:
        return {
            "bfloat16_error": self.sweep.error,
            "bfloat16_evaluated_again": self.sweep.evaluated_again,
            "bfloat16_sampled": self.sampled,
            "bfloat16_differing": self.differing,
        }


def sweep_in_bfloat16(
    model: PreTrainedModel,
    encoded: EncodedPairs,
    interventions: np.ndarray,
    batch_tokens: int,
    chunks: SweepCache | None = None,
    observers: Sequence[Observer] = (),
) -> Rounded:
    """Evaluate multipliers [intervention, layer, head]; see `Rounded`."""
    exact = AblationEngine(from_pretrained_model(model), batch_tokens)
    rounded = AblationEngine(from_pretrained_model(model, torch.bfloat16), batch_tokens, chunks or NoCache())
    unmasked = np.ones((1, *interventions.shape[1:]), dtype=np.float32)
    found = rounded.evaluate(encoded, np.concatenate([unmasked, interventions]), observers=observers)
    logits = found.pop("logits")
    error = float(np.abs(logits[0] - exact.evaluate(encoded, unmasked)["logits"][0]).max())
    logits = logits[1:]

    close = top_two_margins(logits) <= 2 * error
    for pair in np.flatnonzero(close.any(axis=0)):
        again = np.flatnonzero(close[:, pair])
        logits[again, pair] = exact.evaluate(encoded.take(np.array([pair])), interventions[again])["logits"][:, 0]
    return Rounded(logits, {name: array[1:] for name, array in found.items()}, error, float(close.mean()))


def audit_bfloat16(
    model: PreTrainedModel,
    encoded: EncodedPairs,
    interventions: np.ndarray,
    batch_tokens: int,
    sweep: Rounded,
    seed: int,
) -> Audit:
    """Evaluate every intervention in float32 on a few pairs, drawn from `seed`."""
    rng, size = np.random.default_rng(seed), min(AUDITED_PAIRS, len(encoded))
    sample = np.sort(rng.choice(len(encoded), size, replace=False))
    exact = AblationEngine(from_pretrained_model(model), batch_tokens).evaluate(encoded.take(sample), interventions)[
        "logits"
    ]
    differing = sweep.logits[:, sample].argmax(-1) != exact.argmax(-1)
    return Audit(sweep, differing.size, int(differing.sum()))


def top_two_margins(logits: np.ndarray) -> np.ndarray:
    """The best logit's lead over the second, [intervention, pair]."""
    ranked = np.partition(logits, -2, axis=-1)
    return ranked[..., -1] - ranked[..., -2]
