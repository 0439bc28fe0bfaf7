"""A sweep in bfloat16 whose close calls are evaluated again in float32."""

from dataclasses import replace

import numpy as np

from pipeline.ablation.engine import AblationEngine, AblationResult, Observer
from pipeline.models.tokenization import EncodedPairs

AUDITED_PAIRS = 32  # pairs on which the result is compared with float32


def sweep_in_bfloat16(
    exact: AblationEngine,
    rounded: AblationEngine,
    encoded: EncodedPairs,
    masks: np.ndarray,
    observer: Observer | None = None,
) -> AblationResult:
    """Evaluate masks [mask, layer, head] with the rounded engine, and where rounding may decide again with the exact.

    The result's precision_report holds

    - bfloat16_error: largest difference of a logit from float32 on the unmasked model, over all pairs.
    - bfloat16_evaluated_again: share of (row, pair) done again in float32: those whose two best logits lie within twice
      that error, since either may have moved by it. What the observer kept stays rounded.
    """
    result = rounded.evaluate(encoded, masks, observer=observer)
    logits = result.logits
    error = float(np.abs(result.unmasked_logits - exact.unmasked(encoded).unmasked_logits).max())
    close = top_two_margins(logits) <= 2 * error
    for pair in np.flatnonzero(close.any(axis=0)):
        rows = np.flatnonzero(close[:, pair])
        again = exact.evaluate(encoded.take(np.array([pair])), masks[rows[rows > 0] - 1])
        logits[rows, pair] = again.logits[-len(rows) :, 0]  # without its row 0 where the unmasked model's call is clear
    report = {"bfloat16_error": error, "bfloat16_evaluated_again": float(close.mean())}
    return replace(result, precision_report=report)


def audit_bfloat16(exact: AblationEngine, encoded: EncodedPairs, result: AblationResult, seed: int) -> AblationResult:
    """The result, its report with the predictions that are not float32's: bfloat16_differing of bfloat16_sampled.

    All masks are evaluated in float32 on a few pairs, drawn from `seed`.
    """
    rng, size = np.random.default_rng(seed), min(AUDITED_PAIRS, len(encoded))
    pairs = np.sort(rng.choice(len(encoded), size, replace=False))
    expected = exact.evaluate(encoded.take(pairs), result.masks).logits.argmax(-1)
    differing = result.logits[:, pairs].argmax(-1) != expected
    counts = {"bfloat16_sampled": differing.size, "bfloat16_differing": int(differing.sum())}
    return replace(result, precision_report=result.precision_report | counts)


def top_two_margins(logits: np.ndarray) -> np.ndarray:
    """The best logit's lead over the second, whichever is gold, [..., pair]."""
    ranked = np.partition(logits, -2, axis=-1)
    return ranked[..., -1] - ranked[..., -2]
