"""The plain way to mask heads: the framework's own forward with one hook a layer. Slow, obvious, and the reference."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.models.inference import collate, predict
from pipeline.models.removal import Kept
from pipeline.models.tokenization import EncodedPairs

# Where the heads' outputs enter their projection, in the families' own names.
PROJECTIONS = ("attention.output.dense", "attention.out_lin", "attn.Wo")


CONTRACTIONS = ("output.dense", "ffn.lin2", "mlp.Wo")  # likewise the neurons' outputs


def contractions(model: PreTrainedModel) -> list[torch.nn.Linear]:
    """The projection of every layer's feed-forward neurons."""
    named = model.named_modules()
    return [module for name, module in named if name.endswith(CONTRACTIONS) and not name.endswith(PROJECTIONS)]


def output_projections(model: PreTrainedModel) -> list[torch.nn.Linear]:
    """The output projection of every layer."""
    return [module for name, module in model.named_modules() if name.endswith(PROJECTIONS)]


@contextmanager
def masked_heads(model: PreTrainedModel, mask: np.ndarray | torch.Tensor) -> Iterator[None]:
    """Multiply each head's slice of the input of the output projection by its part of a mask; hooks always go.

    mask: [layer, head], or [layer, position, head] for pairs of one length.
    """

    def scale(multipliers: torch.Tensor):
        def hook(module, arguments):
            (context,) = arguments
            heads = context.unflatten(-1, (multipliers.shape[-1], -1))
            return ((heads * multipliers[..., None].to(context)).flatten(-2),)

        return hook

    handles = [
        projection.register_forward_pre_hook(scale(torch.as_tensor(row, dtype=torch.float32)))
        for projection, row in zip(output_projections(model), mask, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def masked_logits(model: PreTrainedModel, encoded: EncodedPairs, kept: Kept) -> np.ndarray:
    """Logits [pair, output] with the inputs of both projections set to 0 where heads and neurons are not kept."""

    def scale(neurons: np.ndarray):
        return lambda _, inputs: (inputs[0] * torch.from_numpy(neurons.astype(np.float32)),)

    with ExitStack() as hooks:
        hooks.enter_context(masked_heads(model, kept.heads))
        for module, neurons in zip(contractions(model), kept.neurons, strict=True):
            hooks.callback(module.register_forward_pre_hook(scale(neurons)).remove)
        return predict(model, encoded, model.config.pad_token_id)


@torch.inference_mode()
def reference_logits(model: PreTrainedModel, encoded: EncodedPairs, mask: np.ndarray) -> np.ndarray:
    """Logits [pair, grade], one pair a forward, nothing padded; mask as `masked_heads` takes it."""
    with masked_heads(model, mask):
        return np.concatenate(
            [
                model(**collate(encoded, np.array([pair]), 0, model.device)).logits.cpu().numpy()
                for pair in range(len(encoded))
            ]
        )


@torch.inference_mode()
def reference_contexts(model: PreTrainedModel, encoded: EncodedPairs, pair: int, mask: np.ndarray) -> np.ndarray:
    """The heads' outputs before projection and masking, [layer, position, head, head_dim], as a hook sees them."""
    seen = []
    handles = [
        projection.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0][0]))
        for projection in output_projections(model)
    ]
    try:
        with masked_heads(model, mask):
            model(**collate(encoded, np.array([pair]), 0, model.device))
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(seen).unflatten(-1, (model.config.num_attention_heads, -1)).numpy()


@torch.inference_mode()
def reference_replaced(
    model: PreTrainedModel, encoded: EncodedPairs, pair: int, mask: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Logits [grade] where each head gives its part of a mask of its output and the rest of `values`.

    mask: [layer, head] or [layer, position, head]. values: [layer, position, head, head_dim].
    """

    def mix(multipliers: np.ndarray, value: np.ndarray):
        share = torch.from_numpy(np.asarray(multipliers, dtype=np.float32))[..., None]

        def hook(module, arguments):
            heads = arguments[0].unflatten(-1, (share.shape[-2], -1))
            return ((heads * share + (1 - share) * torch.from_numpy(value)).flatten(-2),)

        return hook

    handles = [
        projection.register_forward_pre_hook(mix(row, value))
        for projection, row, value in zip(output_projections(model), mask, values, strict=True)
    ]
    try:
        return model(**collate(encoded, np.array([pair]), 0, model.device)).logits[0].numpy()
    finally:
        for handle in handles:
            handle.remove()


def at_positions(mask: np.ndarray, cls_only: np.ndarray, positions: int) -> np.ndarray:
    """The mask [layer, head] at every position [layer, position, head]: 1 behind [CLS] where it is for [CLS] only."""
    spread = np.repeat(np.asarray(mask, dtype=np.float32)[:, None], positions, axis=1)
    spread[:, 1:] = np.where(cls_only[:, None], 1, spread[:, 1:])
    return spread


TOLERANCE = 1e-5


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Within TOLERANCE of the logits' size: of the framework's own, float32 rounds away as much."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(1, np.abs(expected).max()))
