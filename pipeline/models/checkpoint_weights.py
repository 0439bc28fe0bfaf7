"""Weights of a checkpoint: read, and compared by name and shape with what its configuration describes."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from pipeline.core.errors import InputError
from pipeline.models.checkpoint_config import has_own_code
from pipeline.models.checkpoint_files import CONFIG, PRUNED, WEIGHTS, explain_failures
from pipeline.models.removal import Kept, pruned_model

Architecture = type[AutoModel | AutoModelForSequenceClassification]
Reading = tuple[PreTrainedModel, list[str]]  # a model, and the names of weights that are not as they should be
LISTED = 3
CACHE_LINE = 64  # bytes
FLOATS = ("F64", "F32", "F16", "BF16")
# Parts of names of weights that are an encoder's to have or not, or no weights at all.
OPTIONAL = {"pooler", "position_ids", "token_type_ids"}


def read_weights(
    name: str,
    source: str,
    config: PretrainedConfig,
    architecture: Architecture = AutoModelForSequenceClassification,
) -> Reading:
    """Read the model, and the names of weights beyond the encoder that the checkpoint lacks or has in another shape.

    Beside a PRUNED file it is the smaller model, otherwise the one that the configuration describes.

    Args:
        name: what the user calls the checkpoint.
        source: folder or hub name to read from.
        config: its configuration.
        architecture: the classifier, or the bare encoder.

    Raises:
        InputError: weights of the encoder are missing, of another shape or more than it takes, or one is not finite.
    """
    if (Path(source) / PRUNED).is_file():
        with explain_failures(name):
            model, new = _read_pruned(source, config, architecture)
        _require_encoder(name, source, model, new)
    else:
        model, new = _read_whole(name, source, config, architecture)
    if not all(torch.isfinite(weight).all() for weight in model.parameters()):
        raise InputError(f"checkpoint {name} holds weights that are not finite; copy it again")
    return model, new


@torch.no_grad()
def align_weights(model: PreTrainedModel) -> None:
    """Lay every weight where a cache line begins, in place.

    Weights stay where a file is mapped, at any multiple of 8 bytes, and MKL's products differ in their last bits with
    that: results would follow the length of a file's header, and differ between a model read and the same one sent.
    """
    for weight in model.parameters():
        if weight.data_ptr() % CACHE_LINE:
            weight.data = weight.data.clone()


def _read_whole(name: str, source: str, config: PretrainedConfig, architecture: Architecture) -> Reading:
    with explain_failures(name):
        model, report = architecture.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    _refuse_integers(name, source)
    misshapen = {key: (list(found), list(expected)) for key, found, expected in report["mismatched_keys"]}
    _require_shapes(name, model, misshapen)
    new = sorted({*report["missing_keys"], *misshapen})
    _require_encoder(name, source, model, new)
    _refuse_unused(name, model, report["unexpected_keys"])
    return model, new


def _read_pruned(source: str, config: PretrainedConfig, architecture: Architecture) -> Reading:
    whole = architecture.from_config(config, dtype=torch.float32)
    record = json.loads((Path(source) / PRUNED).read_text(encoding="utf-8"))
    model = pruned_model(whole, Kept.from_record(whole, record))
    report = model.load_state_dict(safetensors.torch.load_file(Path(source) / WEIGHTS[0]), strict=False)
    return model, sorted(report.missing_keys)


def _encoder_names(model: PreTrainedModel, names: Iterable[str]) -> list[str]:
    """The names that are the encoder's, with its prefix or without, but for what is OPTIONAL."""
    base, prefix = model.base_model, f"{model.base_model_prefix}."
    parts = dict(base.named_children())
    return sorted(
        name
        for name in names
        if name.removeprefix(prefix).split(".")[0] in parts
        and (base is model or name.startswith(prefix) or not hasattr(model, name.split(".")[0]))
        and OPTIONAL.isdisjoint(name.split("."))
    )


def _require_shapes(name: str, model: PreTrainedModel, misshapen: dict[str, tuple[list[int], list[int]]]) -> None:
    wrong = _encoder_names(model, misshapen)
    if wrong:
        found, expected = misshapen[wrong[0]]
        raise InputError(
            f"checkpoint {name}: {len(wrong)} weights of its encoder are not of the shape that {CONFIG} says: "
            f"{wrong[0]} has {found}, not {expected}; take both files from one place, or correct {CONFIG}"
        )


def _require_encoder(name: str, source: str, model: PreTrainedModel, new: Sequence[str]) -> None:
    lacking = _encoder_names(model, new)
    if not lacking:
        return
    held = _held_names(source)
    prefix = _common_prefix(lacking, held, f"{model.base_model_prefix}.")
    if prefix:
        fix = (
            f"every name in its file begins with {prefix!r}, as a wrapper around the model writes it (DataParallel, "
            "Lightning, torch.compile); take that off the names and save the file again"
        )
    elif has_own_code(source):
        fix = (
            f"{CONFIG} names code of the checkpoint's own (auto_map), whose weights are called otherwise (its file "
            f"has {_listed(held)}) and which is never run; name a checkpoint that transformers itself reads"
        )
    else:
        fix = f"its file has {_listed(held)}; take {CONFIG} and the weights from one place"
    raise InputError(f"checkpoint {name}: {len(lacking)} weights of its encoder are missing, {lacking[0]} first; {fix}")


def _refuse_unused(name: str, model: PreTrainedModel, unexpected: Iterable[str]) -> None:
    unused = _encoder_names(model, unexpected)
    if unused:
        raise InputError(
            f"checkpoint {name} holds {len(unused)} weights of an encoder that {model.config.model_type!r} in "
            f"transformers with its {CONFIG} does not take: {_listed(unused)}; without them it is another model than "
            f"the one that was trained. Correct {CONFIG} (such as num_hidden_layers), or name another checkpoint"
        )


def _refuse_integers(name: str, source: str) -> None:
    """Raise InputError where a weight is stored in whole numbers, quantized: its scale is not known here."""
    kinds: dict[str, str] = {}
    for path in _weights_files(source):
        with safetensors.safe_open(path, "pt") as file:
            kinds |= {key: file.get_slice(key).get_dtype() for key in sorted(file.keys()) if key.endswith("weight")}
    if rounded := [key for key, kind in kinds.items() if kind not in FLOATS]:
        raise InputError(
            f"checkpoint {name} holds quantized weights, {rounded[0]} in {kinds[rounded[0]]}, which are not analysed; "
            "name the checkpoint before quantization, or save it dequantized"
        )


def _held_names(source: str) -> list[str]:
    """Names of the weights in the checkpoint's files."""
    names = list[str]()
    for path in _weights_files(source):
        with safetensors.safe_open(path, "pt") as file:
            names += file.keys()
    return sorted(names)


def _weights_files(source: str) -> list[str]:
    """Paths of the checkpoint's weights: one file, or the parts that its index names."""
    single, index = (cached_file(source, file, _raise_exceptions_for_missing_entries=False) for file in WEIGHTS)
    if single is not None:
        return [single]
    parts = json.loads(Path(str(index)).read_text(encoding="utf-8"))["weight_map"].values()
    return [str(cached_file(source, part)) for part in sorted(set(parts))]


def _common_prefix(lacking: Sequence[str], held: Sequence[str], own: str) -> str:
    """What stands before the names of most missing weights in the file, "" where nothing does.

    own: the encoder's prefix, with which the names in the file may begin behind it or not.
    """
    prefixes: Counter[str] = Counter()
    for missing in lacking:
        bare = missing.removeprefix(own)
        before = {found.removesuffix(bare).removesuffix(own) for found in held if found.endswith(f".{bare}")}
        prefixes.update(before - {""})
    prefix, count = prefixes.most_common(1)[0] if prefixes else ("", 0)
    return prefix if 2 * count > len(lacking) else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{more}"
