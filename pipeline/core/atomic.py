"""A file is written whole or not at all: under a temporary name beside its own, then renamed.

What the disk refuses is an InputError that names the file, the reason and the fix.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from pipeline.core.errors import InputError

FIXES = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some of your share of that disk",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "have that disk mounted for writing",
    errno.EACCES: "give yourself the right to write there",
    errno.EPERM: "give yourself the right to write there",
    errno.EEXIST: "move away the file that stands where a folder belongs",
    errno.ENOTDIR: "move away the file that stands where a folder belongs",
    errno.EISDIR: "move away the folder that stands where a file belongs",
}
# Compiled libraries (safetensors, tokenizers) raise classes of their own for what the disk refuses.
COMPILED = re.compile(r"\(os error (\d+)\)")


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary name (file or folder, not yet made) that takes `path`'s place on success.

    What a killed process left beside `path` under such a name is removed first.

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
    except Exception as error:
        number = _errno(error)
        if number is None and not isinstance(error, OSError):
            raise
        reason = os.strerror(number).lower() if number is not None else str(error)
        blocking = [folder for folder in path.parents if os.path.lexists(folder) and not folder.is_dir()]
        place = f"{blocking[0]}: " if blocking else ""
        fix = FIXES.get(number or 0, "mend that")
        raise InputError(f"{path} cannot be written: {place}{reason}; {fix} and try again") from error


def _errno(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = COMPILED.search(str(error))
    return int(found[1]) if found else None


def _remove_abandoned(path: Path) -> None:
    """Remove temporaries of `path` whose process is gone, or was another with this one's number."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(?:former\.)?(\d{{1,9}})\.tmp")
    for sibling in path.parent.iterdir():
        found = name.fullmatch(sibling.name)
        if found and (int(found[1]) == os.getpid() or not psutil.pid_exists(int(found[1]))):
            _remove(sibling)


def _rename(temporary: Path, path: Path) -> None:
    """Rename. A folder makes way for a folder first, whole, since the system does not do that by itself."""
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
