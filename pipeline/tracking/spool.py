"""Rows on their way to MLflow, each with copies of its files: kept before they are sent, dropped once they are there.

So a row survives a server that does not answer and a process that is killed while it sends; the copies since DVC
removes a stage's files before its next run. An entry is a folder, locked as long as the process that sends it lives.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.tracking.execution import state, write_state
from pipeline.tracking.record import Row

ROW = "row.json"
UNFINISHED = ".unfinished-"
COPYING = 60.0  # seconds after which an unlocked, unfinished entry is nobody's


@dataclass(frozen=True)
class Entry:
    row: Row
    folder: Path

    @property
    def base(self) -> Path:
        """The folder that the row's files lie below."""
        return (self.folder / "files").resolve()

    def drop(self) -> None:
        shutil.rmtree(self.folder)


@contextmanager
def keeping(row: Row, base: Path) -> Iterator[Entry]:
    """Keep a row whose files lie below `base`; nobody else takes it up before the block ends."""
    name = f"{time.time_ns():020d}-{row.id}"
    unfinished, folder = _spool() / f"{UNFINISHED}{name}", _spool() / name
    unfinished.mkdir(parents=True)
    with _held(unfinished):
        try:
            for file in row.files():
                _copy(base / file, unfinished / "files" / file)
            write_state(unfinished / ROW, asdict(row))
        except BaseException:
            shutil.rmtree(unfinished)
            raise
        unfinished.rename(folder)
        yield Entry(row, folder)


def waiting() -> Iterator[Entry]:
    """What no living process is sending, oldest first, each held until the next is asked for."""
    for folder in sorted(_spool().glob("*")):
        with _held(folder) as is_mine:
            if not is_mine:
                continue
            if folder.name.startswith(UNFINISHED):
                _drop_abandoned(folder)
                continue
            with suppress(ValueError, TypeError, FileNotFoundError):  # what is damaged holds up no other
                yield Entry(Row(**json.loads((folder / ROW).read_text(encoding="utf-8"))), folder)


def _drop_abandoned(folder: Path) -> None:
    """Its process was killed while it copied, unless it was only made and not locked yet."""
    if time.time() - folder.stat().st_mtime > COPYING:
        shutil.rmtree(folder)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether the folder is there and was free; the lock goes with the process, whatever ends it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(descriptor) and folder.exists()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _spool() -> Path:
    return state() / "spool"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)
