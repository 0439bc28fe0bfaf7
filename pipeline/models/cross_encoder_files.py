"""Files that sentence-transformers' `CrossEncoder` keeps beside config.json, read against closed lists.

Nothing that a file names is imported. What would change a score and is not followed here is refused by name.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from torch import nn
from transformers import PretrainedConfig
from transformers.utils import cached_file

from pipeline.core import formats
from pipeline.core.errors import InputError, quote_value
from pipeline.models.checkpoint_config import refuse_causal
from pipeline.models.checkpoint_files import CONFIG, explain_failures

MODULES = "modules.json"
SETTINGS = "config_sentence_transformers.json"
TRANSFORMER = "sentence_bert_config.json"
ACTIVATION = "sentence_transformers"  # key of config.json that holds activation_fn
OLD_ACTIVATION = "sbert_ce_default_activation_function"  # of config.json, before version 4
CROSS_ENCODER = "CrossEncoder"
CLASSIFIER, ENCODER = "sequence-classification", "feature-extraction"  # tasks of the module Transformer
OUTPUT = {CLASSIFIER: "logits", ENCODER: "last_hidden_state"}
# How `CrossEncoder` writes the names of modules: by class and file, in this version and before.
FILES = {
    "Transformer": "transformer",
    "Pooling": "pooling",
    "Dense": "dense",
    "LayerNorm": "layer_norm",
    "LogitScore": "logit_score",
}
PACKAGES = ("base.modules", "sentence_transformer.modules", "cross_encoder.modules", "models")
TYPES = {
    f"sentence_transformers.{package}.{place}": kind
    for kind, file in FILES.items()
    for package in PACKAGES
    for place in (kind, f"{file}.{kind}", f"{kind}.{kind}")
}
WRITTEN = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "LayerNorm": "sentence_transformers.sentence_transformer.modules.layer_norm.LayerNorm",
}
_ACTIVATIONS = (nn.Identity, nn.Sigmoid, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.Softplus)
ACTIVATIONS = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in _ACTIVATIONS} | {
    f"torch.nn.{kind.__qualname__}": kind for kind in _ACTIVATIONS
}
IDENTITY, SIGMOID = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"
# Keys of TRANSFORMER that change no score of a pair of texts in float32, or are read below.
HARMLESS = {
    *("modality_config", "module_output_name", "transformer_task", "max_seq_length", "processor_kwargs"),
    *("tokenizer_args", "model_args", "model_kwargs", "unpad_inputs", "query_length", "document_length"),
    "query_expansion",
}


@dataclass(frozen=True)
class Module:
    """A module behind the encoder: its kind (a key of FILES) and its folder."""

    kind: str
    folder: str


@dataclass(frozen=True)
class CrossEncoderFiles:
    """What a CrossEncoder's files say beyond config.json.

    Attributes:
        activation: what `predict` lays over the score, by its full name in torch; None where no file says. The
            analysis takes the score itself.
        max_length: tokens that `predict` cuts a pair to, where a file says so beside the tokenizer's.
        modules: behind the encoder; none for a sequence classifier.
    """

    activation: str | None
    max_length: int | None
    modules: list[Module]


def read_cross_encoder(name: str, source: str, config: PretrainedConfig) -> CrossEncoderFiles:
    """Read the files of a CrossEncoder, saved by any version; an embedder's or a plain checkpoint's say nothing.

    Raises:
        InputError: a causal reranker, a module, activation or option that is not followed, or a prompt.
    """
    modules = read_json(name, source, MODULES)
    settings = read_json(name, source, SETTINGS) or {}
    with explain_failures(name):
        if modules is None or settings.get("model_type") != CROSS_ENCODER:
            return CrossEncoderFiles(_old_activation(config), None, [])
        behind = _modules(name, modules)
        _check_prompt(name, settings)
        return CrossEncoderFiles(
            activation=settings.get("activation_fn") or _old_activation(config),
            max_length=_check_transformer(
                name, read_json(name, source, TRANSFORMER) or {}, ENCODER if behind else CLASSIFIER
            ),
            modules=behind,
        )


def check_activation(name: str, activation: str | None) -> None:
    """Raise InputError where the activation is none of torch's that are known here."""
    if activation is not None and activation not in ACTIVATIONS:
        fix = f"known are {', '.join(path for path in ACTIVATIONS if '.modules.' in path)}"
        refuse(name, f"{CONFIG} or {SETTINGS}", "activation_fn", activation, fix)


def read_json(name: str, source: str, file: str) -> Any:
    """Read a JSON file of the checkpoint's folder or from the hub; None where there is none."""
    with explain_failures(name):
        path = cached_file(source, file, _raise_exceptions_for_missing_entries=False)
        return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))


def write_cross_encoder(folder: Path, activation: str, modules: list[Module]) -> None:
    """Write the files that make a folder of weights and tokenizer a CrossEncoder's, without versions."""
    first = Module("Transformer", "")
    listed = [
        {"idx": index, "name": str(index), "path": module.folder, "type": WRITTEN[module.kind]}
        for index, module in enumerate([first, *modules])
    ]
    prompts: dict[str, Any] = {"default_prompt_name": None, "model_type": CROSS_ENCODER, "prompts": {}}
    formats.write_json(folder / MODULES, listed)
    formats.write_json(folder / SETTINGS, {"activation_fn": activation, **prompts})
    formats.write_json(folder / TRANSFORMER, {"transformer_task": ENCODER if modules else CLASSIFIER})


def refuse(name: str, file: str, key: str, value: Any, fix: str) -> NoReturn:
    """Raise the InputError of a file's key that is not followed."""
    raise InputError(f"checkpoint {name}: {file} has {key} {quote_value(value)}; {fix}")


def _old_activation(config: PretrainedConfig) -> str | None:
    """Activation that config.json names, as before modules.json and before version 4."""
    newer = getattr(config, ACTIVATION, None) or {}
    return newer.get("activation_fn") or getattr(config, OLD_ACTIVATION, None)


def _modules(name: str, modules: list[dict[str, str]]) -> list[Module]:
    """Modules behind the encoder, which stands first and at the folder's root."""
    first, *behind = [Module(_kind(name, module), module["path"]) for module in modules]
    if first != Module("Transformer", ""):
        refuse(name, MODULES, "first", modules[0], 'only a Transformer at path "" is read; save the model again')
    for module in behind:
        if module.kind == "LogitScore":
            refuse_causal(name, module.kind)
        if module.folder in ("", ".", "..") or "/" in module.folder or "\\" in module.folder:
            refuse(name, MODULES, "path", module.folder, "name a folder of the checkpoint")
    return behind


def _kind(name: str, module: dict[str, str]) -> str:
    kind = TYPES.get(module["type"])
    if kind is None:
        refuse(
            name, MODULES, "type", module["type"], "read are a Transformer alone, or with Pooling, Dense and LayerNorm"
        )
    return kind


def _check_prompt(name: str, settings: dict[str, Any]) -> None:
    default = settings.get("default_prompt_name")
    prompt = (settings.get("prompts") or {}).get(default) if default is not None else None
    if prompt:
        fix = (
            "it would stand before every query and change every score, which is not followed here; put the prompt into "
            "the query column and set default_prompt_name to null in a copy of the checkpoint"
        )
        refuse(name, SETTINGS, f"the default prompt {default!r}", prompt, fix)


def _check_transformer(name: str, values: dict[str, Any], task: str) -> int | None:
    """Check how texts become the encoder's inputs, and its states the next module's; returns the length to cut at."""
    if values.get("transformer_task") == "text-generation":
        refuse_causal(name, "text-generation")
    found = values.get("transformer_task", ENCODER)
    if found != task:
        refuse(name, TRANSFORMER, "transformer_task", found, f"with these modules it must be {task}")
    expected = {"text": {"method": "forward", "method_output_name": OUTPUT[task]}}
    if values.get("modality_config", expected) != expected:
        refuse(name, TRANSFORMER, "modality_config", values["modality_config"], f"read is {expected} alone")
    for key, value in values.items():
        if key not in HARMLESS and value:
            refuse(name, TRANSFORMER, key, value, "it is not followed here; save the model without it")
    processor = {**(values.get("tokenizer_args") or {}), **(values.get("processor_kwargs") or {})}
    if others := set(processor) - {"model_max_length", "trust_remote_code"}:
        refuse(name, TRANSFORMER, "tokenizer options", sorted(others), "put them into the tokenizer's own files")
    return processor.get("model_max_length") or values.get("max_seq_length")
