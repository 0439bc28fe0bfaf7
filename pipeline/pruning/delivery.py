"""Delivery of a smaller model: its folder, and its form of full shape."""

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.core import paths
from pipeline.models.checkpoints import save_tuned
from pipeline.models.removal import Kept, widened_model


def deliver(small: PreTrainedModel, whole: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, kept: Kept) -> None:
    """Write the smaller model for `load_tuned`, and its form of full shape, in the layout that the whole one came in.

    Args:
        small: `pruned_model(whole, kept)`, perhaps trained since.
    """
    save_tuned(small, tokenizer, paths.PRUNED_MODEL, kept)
    save_tuned(widened_model(small, whole, kept), tokenizer, paths.DROP_IN_MODEL)
