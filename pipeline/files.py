"""Every file is written whole or not at all: under a temporary name beside its own, then renamed."""

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import safetensors.numpy


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name (file or folder, not yet made) that takes `path`'s place on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Indented, in the given order, non-ASCII as it is. Raises ValueError for NaN: undefined is null."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, frame: pd.DataFrame, quoting: int = csv.QUOTE_MINIMAL) -> None:
    """Six significant digits, no index, line feeds.

    Texts that are not ours want ``csv.QUOTE_NONNUMERIC``: a lone carriage return is not quoted otherwise.
    """
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n", quoting=cast(Any, quoting))


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        frame.to_parquet(temporary, index=False)


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Named arrays without metadata, whose order safetensors does not keep the same between processes."""
    with replacing(path) as temporary:
        safetensors.numpy.save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(path)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
