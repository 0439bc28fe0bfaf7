"""Rows that MLflow has not taken yet, with copies of their files, since DVC removes a stage's before its next run."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pipeline.tracking.execution import state, write_state
from pipeline.tracking.record import Row

ROW = "row.json"


def keep(row: Row, base: Path) -> None:
    """Keep a row whose files lie below `base`. It counts as kept once its row.json is there, which comes last."""
    folder = _spool() / f"{time.time_ns():020d}-{row.id}"
    for name in row.files():
        _copy(base / name, folder / "files" / name)
    write_state(folder / ROW, asdict(row))


def kept() -> Iterator[tuple[Row, Path, Path]]:
    """Oldest first: the row, the folder its files lie below, and the folder to drop once it is written."""
    for path in sorted(_spool().glob(f"*/{ROW}")):
        yield Row(**json.loads(path.read_text(encoding="utf-8"))), path.parent / "files", path.parent


def drop(folder: Path) -> None:
    (folder / ROW).unlink()
    shutil.rmtree(folder)


def is_empty() -> bool:
    return not any(_spool().glob(f"*/{ROW}"))


def _spool() -> Path:
    return state() / "spool"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)
