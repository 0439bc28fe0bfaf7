"""A checkpoint's three parts, each read and checked: configuration, weights, tokenizer.

Weights are float32 and come from safetensors only; no code of a checkpoint's own ever runs.
"""

from typing import cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from pipeline.errors import InputError
from pipeline.model.sources import reading

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "ernie", "camembert")
# Their position embeddings start behind the padding token's index, so that fewer are left for tokens.
OFFSET_FAMILIES = ("roberta", "xlm-roberta", "camembert")


def read_config(name: str, source: str) -> PretrainedConfig:
    """The configuration at `source`. Raises InputError where it cannot be read or names an unknown architecture."""
    with reading(name):
        values, _ = PretrainedConfig.get_config_dict(source)
        family = values.pop("model_type", None)
        check_family(name, family)
        # Neither code of the checkpoint's own nor a weights file under another name.
        for key in ("auto_map", "transformers_weights"):
            values.pop(key, None)
        return AutoConfig.for_model(family, **values)


def check_family(name: str, family: str | None) -> None:
    """Raise InputError where the architecture is none of FAMILIES."""
    if family not in FAMILIES:
        raise InputError(f"checkpoint {name} is of architecture {family!r}; accepted are {', '.join(FAMILIES)}")


def check_length(name: str, config: PretrainedConfig, max_length: int) -> None:
    """Raise InputError where the checkpoint has fewer position embeddings than a pair of max_length tokens needs."""
    room = config.max_position_embeddings
    if config.model_type in OFFSET_FAMILIES:
        room -= config.pad_token_id + 1
    if max_length > room:
        raise InputError(f"model.max_length is {max_length}, but {name} has positions for {room} tokens; lower it")


def read_weights(name: str, source: str, config: PretrainedConfig) -> tuple[PreTrainedModel, list[str]]:
    """The model, and the names of the classifier's weights that the checkpoint has not, or not in this shape.

    Raises:
        InputError: weights of the encoder are missing or of another shape, or a weight is not finite.
    """
    with reading(name):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    new = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    # A pooler is a pretrained encoder's to have or not; everything else below the prefix is not optional.
    lacking = [key for key in new if key.startswith(f"{model.base_model_prefix}.") and ".pooler." not in key]
    if lacking:
        raise InputError(
            f"checkpoint {name}: {len(lacking)} weights of its encoder are missing or not of the shape config.json "
            f"says, {lacking[0]} first; copy weights and configuration again, from one place"
        )
    if not all(torch.isfinite(weight).all() for weight in model.parameters()):
        raise InputError(f"checkpoint {name} holds weights that are not finite; copy it again")
    return model, new


def read_tokenizer(name: str, source: str, config: PretrainedConfig) -> PreTrainedTokenizerFast:
    """The tokenizer beside the weights. Raises InputError where it is missing, slow, or another model's."""
    with reading(name):
        tokenizer = AutoTokenizer.from_pretrained(source, config=config, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise InputError(
            f"checkpoint {name} has only a slow tokenizer ({type(tokenizer).__name__}), which gives no character "
            "offsets; convert it to a tokenizer.json"
        )
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise InputError(f"checkpoint {name} has no tokenizer files; copy tokenizer.json or the vocabulary beside it")
    if len(tokenizer) > config.vocab_size or tokenizer.pad_token_id is None:
        raise InputError(
            f"checkpoint {name}: its tokenizer ({len(tokenizer)} tokens, padding token {tokenizer.pad_token!r}) does "
            f"not belong to its weights ({config.vocab_size} tokens); copy both from one place"
        )
    if config.type_vocab_size < 2:  # some checkpoints pair such weights with a tokenizer that tells the texts apart
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    return cast(PreTrainedTokenizerFast, tokenizer)
