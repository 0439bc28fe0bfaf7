"""Folders of a scoring chain: configuration and weights of its pooling, dense and normalisation modules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from transformers import AutoModel, PretrainedConfig
from transformers.utils import cached_file

from pipeline.core import formats
from pipeline.core.errors import InputError
from pipeline.models.checkpoint_files import CONFIG, explain_failures
from pipeline.models.checkpoint_weights import read_weights
from pipeline.models.cross_encoder_files import ACTIVATIONS, Module, read_json, refuse
from pipeline.models.scoring_chain import Pooling, ScoringChain, dense, layer_norm

WEIGHTS = "model.safetensors"
STATE, SCORES = "sentence_embedding", "scores"  # what a module reads and writes
POOLINGS: tuple[Pooling, ...] = ("cls", "mean")
TANH = "torch.nn.modules.activation.Tanh"  # the activation of a Dense that names none
OLD_POOLING = "pooling_mode_"
OLD_POOLINGS = {"cls_token": "cls", "mean_tokens": "mean"}


def read_chain(name: str, source: str, config: PretrainedConfig, modules: list[Module]) -> ScoringChain:
    """Read an encoder and the modules behind it.

    Raises:
        InputError: weights are missing, of another shape or not finite; a pooling or option that is not followed;
            another number of outputs than one.
    """
    kinds = [module.kind for module in modules]
    if kinds[0] != "Pooling" or kinds[-1] != "Dense" or not {"Dense", "LayerNorm"}.issuperset(kinds[1:]):
        raise InputError(
            f"checkpoint {name}: modules.json lists Transformer, {', '.join(kinds)}; read are a Transformer alone, or "
            "one with Pooling, then Dense and LayerNorm, a Dense of one output last"
        )
    pooling = _read_pooling(name, source, modules[0].folder)
    score = nn.Sequential(*_read_parts(name, source, config.hidden_size, modules[1:]))
    encoder, _ = read_weights(name, source, config, AutoModel)
    return ScoringChain(encoder, pooling, score)


def write_chain(model: ScoringChain, folder: Path) -> list[Module]:
    """Write the encoder's files at the folder's root, the others each in a folder of its own; returns those modules."""
    model.encoder.save_pretrained(folder)
    width = model.config.hidden_size
    pooling = {"embedding_dimension": width, "pooling_mode": model.pooling, "include_prompt": True}
    settings = [("Pooling", pooling), *(_part_settings(part) for part in model.score)]
    settings[-1][1]["module_output_name"] = SCORES
    modules = [Module(kind, f"{index}_{kind}") for index, (kind, _) in enumerate(settings, start=1)]
    for module, (_, values) in zip(modules, settings, strict=True):
        formats.write_json(folder / module.folder / CONFIG, values)
    for module, part in zip(modules[1:], model.score, strict=True):
        weights = {key: value.contiguous() for key, value in part.state_dict().items()}
        safetensors.torch.save_file(weights, folder / module.folder / WEIGHTS, metadata={"format": "pt"})
    return modules


def _part_settings(part: nn.Module) -> tuple[str, dict[str, Any]]:
    """Kind and configuration of a part of a score."""
    if isinstance(norm := getattr(part, "norm", None), nn.LayerNorm):
        return "LayerNorm", {"dimension": norm.normalized_shape[0]}
    linear = part.get_submodule("linear")
    assert isinstance(linear, nn.Linear)
    activation = type(part.get_submodule("activation"))
    return "Dense", {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
        "activation_function": f"{activation.__module__}.{activation.__qualname__}",
        "module_input_name": STATE,
        "module_output_name": STATE,
    }


def _read_pooling(name: str, source: str, folder: str) -> Pooling:
    file = f"{folder}/{CONFIG}"
    values = _read_settings(name, source, file)
    old = [key.removeprefix(OLD_POOLING) for key, chosen in values.items() if key.startswith(OLD_POOLING) and chosen]
    found = values.get("pooling_mode", [OLD_POOLINGS.get(mode, mode) for mode in old])
    modes = [found] if isinstance(found, str) else list(found)
    for pooling in POOLINGS:
        if modes == [pooling]:
            return pooling
    refuse(name, file, "pooling_mode", found, f"followed are {' and '.join(POOLINGS)} alone")


def _read_parts(name: str, source: str, width: int, modules: list[Module]) -> Iterator[nn.Sequential]:
    """Parts of the score. width: of the states that enter the first."""
    for module in modules:
        file = f"{module.folder}/{CONFIG}"
        values = _read_settings(name, source, file)
        with explain_failures(name):
            if module.kind == "LayerNorm":
                _require(name, file, values, "dimension", width)
                part = layer_norm(width)
            else:
                _require(name, file, values, "in_features", width)
                part, width = _build_dense(name, file, values, last=module is modules[-1]), values["out_features"]
        _load_part(name, source, f"{module.folder}/{WEIGHTS}", part)
        yield part


def _build_dense(name: str, file: str, values: dict[str, Any], last: bool) -> nn.Sequential:
    activation = values.get("activation_function", TANH)
    if last:
        _require(name, file, values, "out_features", 1)
        if ACTIVATIONS.get(activation) is not nn.Identity:
            fix = (
                "the score is what enters it: write Identity here and this name as activation_fn into "
                "config_sentence_transformers.json"
            )
            refuse(name, file, "activation_function", activation, fix)
    if activation not in ACTIVATIONS:
        refuse(name, file, "activation_function", activation, f"followed are {', '.join(ACTIVATIONS)}")
    _require(name, file, {"use_residual": False, **values}, "use_residual", False)
    _require(name, file, {"module_input_name": STATE, **values}, "module_input_name", STATE)
    written = {"module_output_name": STATE, **values}
    _require(name, file, written, "module_output_name", SCORES if last else STATE)
    return dense(values["in_features"], values["out_features"], values.get("bias", True), ACTIVATIONS[activation]())


def _require(name: str, file: str, values: dict[str, Any], key: str, expected: Any) -> None:
    if values[key] != expected:
        refuse(name, file, key, values[key], f"only {expected!r} is followed at this place in the chain")


def _load_part(name: str, source: str, file: str, part: nn.Sequential) -> None:
    """Load the weights of a part. Raises InputError where one is missing, of another shape or not finite."""
    with explain_failures(name):
        path = cached_file(source, file, _raise_exceptions_for_missing_entries=False)
        if path is None:
            raise InputError(
                f"checkpoint {name}: {file} is missing, and the score is not made up; copy it from where the others "
                "come from (pickled weights are never loaded: save the model again)"
            )
        weights = safetensors.torch.load_file(path)
        for key, expected in part.state_dict().items():
            if key not in weights or weights[key].shape != expected.shape:
                raise InputError(
                    f"checkpoint {name}: {file} lacks {key} of shape {list(expected.shape)}; copy weights and "
                    "configuration again, from one place"
                )
            if not torch.isfinite(weights[key]).all():
                raise InputError(f"checkpoint {name}: {file} holds weights that are not finite; copy it again")
        part.load_state_dict(weights)


def _read_settings(name: str, source: str, file: str) -> dict[str, Any]:
    values = read_json(name, source, file)
    if not isinstance(values, dict):
        raise InputError(f"checkpoint {name}: {file} is missing or no JSON object; copy it again")
    return values
