"""Atomic file writing: under a temporary name in the same folder, then renamed.

What the disk refuses is an InputError that names the file, the reason and the fix.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from pipeline.core.errors import InputError


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Replace atomically: yield a temporary name (file or folder, not yet made) that takes `path`'s place on success.

    What a killed process left under such a name is removed first.

    Raises:
        InputError: the disk refuses to take it; nothing half-written remains, and what stood at `path` still does.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _explain_refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        try:
            yield temporary
            _rename(temporary, path)
        finally:
            _remove(temporary)


def make_folder(path: Path) -> None:
    """Make the folder and those above it where they are missing. Raises InputError where the disk refuses."""
    with _explain_refusal(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def _explain_refusal(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # Compiled libraries (safetensors, tokenizers) raise classes of their own for what the disk refuses.
        if not isinstance(error, OSError) and "(os error " not in str(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        in_the_way = [folder for folder in path.parents if os.path.lexists(folder) and not folder.is_dir()]
        if in_the_way:
            reason = f"{in_the_way[0]} is not a folder: {reason}"
        raise InputError(f"{path} cannot be written: {reason}; fix that and try again") from error


def _remove_abandoned(path: Path) -> None:
    """Remove temporaries of `path` whose process is gone, or was another with this one's number."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(?:former\.)?(\d{{1,9}})\.tmp")
    for sibling in path.parent.iterdir():
        match = name.fullmatch(sibling.name)
        if match and (int(match[1]) == os.getpid() or not psutil.pid_exists(int(match[1]))):
            _remove(sibling)


def _rename(temporary: Path, path: Path) -> None:
    """Rename; an existing folder is moved out of the way first, since the system does not replace folders."""
    if not (temporary.is_dir() and path.is_dir()):
        os.replace(temporary, path)
        return
    former = path.with_name(f".{path.name}.former.{os.getpid()}.tmp")
    os.replace(path, former)
    os.replace(temporary, path)
    _remove(former)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
