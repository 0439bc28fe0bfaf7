"""How many tokens a sweep evaluates in one matrix product."""

from typing import Literal

import torch

from pipeline.ablation.encoder import AblatableEncoder

# One number for all processors: results, whose last bits follow it, must not depend on a machine's memory. Measured on
# two cores: more is no faster, and less is slower.
ON_A_CPU = 2048
ON_A_GPU = 4096, 65536  # at least, at most: beyond it little is won (measured on an H200)
SHARE_OF_MEMORY = 0.5


def stack_tokens(setting: int | Literal["auto"], encoder: AblatableEncoder) -> int:
    """Tokens of the states in one matrix product, as set; auto: ON_A_CPU, or as many as a GPU holds, a power of two.

    Depth first, a stack of every layer is held, with contexts and their projection, and of one layer the neurons.
    """
    if setting != "auto":
        return setting
    if encoder.device.type != "cuda":
        return ON_A_CPU
    memory = torch.cuda.get_device_properties(encoder.device).total_memory
    return tokens_within(int(SHARE_OF_MEMORY * memory), encoder)


def tokens_within(memory: int, encoder: AblatableEncoder) -> int:
    """A power of two of tokens, within ON_A_GPU, whose states fit into so many bytes."""
    layer = encoder.layers[0]
    neurons, hidden = layer.feed_forward.neurons.shape
    a_token = layer.output_heads.element_size() * (3 * hidden * len(encoder.layers) + 4 * neurons)
    least, most = ON_A_GPU
    return min(most, max(least, 1 << max(0, (memory // a_token).bit_length() - 1)))
