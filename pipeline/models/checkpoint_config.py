"""Configuration of a checkpoint: config.json without what says how to run it, and without what is not analysed."""

from collections.abc import Mapping
from typing import Any, NoReturn

from transformers import AutoConfig, PretrainedConfig
from transformers.activations import ACT2FN

from pipeline.core.errors import InputError, quote_value
from pipeline.models.checkpoint_files import CONFIG, explain_failures
from pipeline.models.families import FAMILIES, OFFSET_FAMILIES

# Keys that say how a model is run, not which function it is -> the value that asks for nothing. The pipeline asks for
# what it needs itself.
HOW_TO_RUN: dict[str, Any] = {
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
    "torchscript": False,
    "chunk_size_feed_forward": 0,
    "gradient_checkpointing": False,
    "reference_compile": False,
    "attn_implementation": None,
    "_attn_implementation": None,
    "_attn_implementation_internal": None,
    "_attn_implementation_autoset": False,
}
# Neither code of the checkpoint's own nor a weights file under another name.
NEVER_FOLLOWED = ("auto_map", "transformers_weights")
# Keys that make a model another function than what is analysed -> the values that do not, and why others do.
ANALYSED: dict[str, tuple[tuple[Any, ...], str]] = {
    "position_embedding_type": (
        (None, "absolute"),
        "transformers 5 computes absolute positions only, so that it would be another model; name a checkpoint with "
        "absolute positions",
    ),
    "is_decoder": (
        (None, False),
        "a token would see those before it alone, which is not analysed; set it to false if the encoder was trained to "
        "see all of them, or name another checkpoint",
    ),
    "add_cross_attention": ((None, False), "attention to another model's states is not analysed; name an encoder"),
    "is_encoder_decoder": ((None, False), "a model of two stacks is not analysed; name an encoder"),
    "quantization_config": (
        (None, {}),
        "rounded weights are not analysed; name the checkpoint before quantization, or save it dequantized",
    ),
    "pruned_heads": (
        (None, {}, []),
        "its layers differ in shape, which is not analysed; name the whole model",
    ),
}
# The families that read position_embedding_type; others keep it as an idle word.
EMBEDDED_POSITIONS = ("bert", "roberta", "xlm-roberta", "electra", "ernie", "camembert")
ACTIVATIONS = ("hidden_act", "activation", "hidden_activation")


def read_config(name: str, source: str) -> PretrainedConfig:
    """Read the configuration at `source`.

    Raises:
        InputError: it is unreadable, of an unknown architecture or a causal language model's, or asks for a function
            that is not analysed.
    """
    with explain_failures(name):
        values, _ = PretrainedConfig.get_config_dict(source)
        architectures = values.get("architectures") or []
        for architecture in [architectures] if isinstance(architectures, str) else architectures:
            if architecture.endswith("ForCausalLM"):
                refuse_causal(name, architecture)
        family = values.pop("model_type", None)
        check_family(name, family)
        _check_function(name, family, values)
        for key in NEVER_FOLLOWED:
            values.pop(key, None)
        for key, nothing in HOW_TO_RUN.items():
            if values.get(key, nothing) != nothing:
                del values[key]
        return AutoConfig.for_model(family, **values)


def has_own_code(source: str) -> bool:
    """Whether config.json names code of the checkpoint's own, which is never run."""
    return "auto_map" in PretrainedConfig.get_config_dict(source)[0]


def _check_function(name: str, family: str | None, values: Mapping[str, Any]) -> None:
    """Raise InputError where the configuration asks for a function that is not analysed."""
    for key, (allowed, fix) in ANALYSED.items():
        is_idle = key == "position_embedding_type" and family not in EMBEDDED_POSITIONS
        if values.get(key) not in allowed and not is_idle:
            raise InputError(f"checkpoint {name}: {CONFIG} has {key} {quote_value(values[key])}; {fix}")
    for key in ACTIVATIONS:
        found = values.get(key)
        if found is not None and found not in ACT2FN:
            raise InputError(
                f"checkpoint {name}: {CONFIG} has {key} {quote_value(found)}, which transformers does not know; known "
                f"are {', '.join(ACT2FN)}"
            )


def check_family(name: str, family: str | None) -> None:
    """Raise InputError unless the architecture is one of FAMILIES."""
    if family not in FAMILIES:
        raise InputError(f"checkpoint {name} is of architecture {family!r}; accepted are {', '.join(FAMILIES)}")


def refuse_causal(name: str, found: str) -> NoReturn:
    """Raise the InputError of a checkpoint that scores a pair by a language model's next token."""
    raise InputError(
        f"checkpoint {name} is a causal reranker ({found}): its score is a language model's next token, which is "
        f"another kind of model; name a cross-encoder of architecture {', '.join(FAMILIES)}"
    )


def check_length(name: str, config: PretrainedConfig, max_length: int) -> None:
    """Raise InputError where the checkpoint has fewer position embeddings than a pair of max_length tokens needs."""
    if not getattr(config, "position_biased_input", True):  # positions are relative, and the far ones share a bucket
        return
    room = config.max_position_embeddings
    if config.model_type in OFFSET_FAMILIES:
        if config.pad_token_id is None:
            raise InputError(f"checkpoint {name}: {CONFIG} has pad_token_id null, behind which positions begin; set it")
        room -= config.pad_token_id + 1
    if max_length > room:
        raise InputError(f"model.max_length is {max_length}, but {name} has positions for {room} tokens; lower it")
