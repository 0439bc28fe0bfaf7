"""Check of the engine against the framework on a model's own pairs, before a sweep is built on it."""

import numpy as np
from transformers import PreTrainedModel

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.precision import FLOAT32
from pipeline.core.errors import InputError
from pipeline.models.inference import BATCH_TOKENS, predict
from pipeline.models.tokenization import EncodedPairs

CHECKED_PAIRS = 8


def check_engine(engine: AblationEngine, model: PreTrainedModel, encoded: EncodedPairs) -> None:
    """Check that the engine gives the logits of the framework's forward, on a few pairs of all lengths.

    Raises:
        InputError: they differ by more than the precision's share of their standard deviation or largest size.
    """
    precision = engine.encoder.precision
    few = encoded.take(pairs_by_length(encoded.lengths, CHECKED_PAIRS))
    expected = predict(model, few, model.config.pad_token_id)
    differences = np.abs(engine.unmasked(few).unmasked_logits - expected).max(axis=1)
    allowed = precision.error_bound * max(expected.std(), np.abs(expected).max())
    wrong = ~(differences <= allowed)
    if wrong.any() and precision != FLOAT32:
        raise InputError(
            f"ablation.precision is {precision.name!r}: with no head masked the logits of {model.name_or_path} are up "
            f"to {differences.max():.2g} from the framework's, where rounding explains {allowed:.2g}; set it to "
            "'float32'"
        )
    if wrong.any():
        lengths = ", ".join(str(length) for length in few.lengths[wrong])
        raise InputError(
            f"checkpoint {model.name_or_path} (architecture {model.config.model_type!r}): with no head masked the "
            f"ablation engine's logits are up to {differences.max():.2g} from the framework's, where rounding explains "
            f"{allowed:.2g}; pairs of {lengths} tokens differ. Its config.json asks for something the engine does not "
            "compute, so effects of heads would be wrong; name another checkpoint, or report this one's config.json"
        )


def check_model(model: PreTrainedModel, encoded: EncodedPairs) -> None:
    """Check that an engine can be built on the model and gives its logits: as `check_engine`, before it is trained."""
    check_engine(AblationEngine(AblatableEncoder.from_pretrained_model(model), BATCH_TOKENS), model, encoded)


def pairs_by_length(lengths: np.ndarray, count: int) -> np.ndarray:
    """At most `count` pairs, evenly from the shortest to the longest, int64 [pair]."""
    order = np.argsort(lengths, kind="stable")
    return order[np.unique(np.linspace(0, len(order) - 1, count).astype(int))]
