"""The formats that stages write and read: every file whole or not at all, in the same bytes for the same content.

A file that cannot be written or read is an InputError that names it, what is wrong and the fix.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import safetensors.numpy

from pipeline.errors import InputError
from pipeline.inert import inert, restored
from pipeline.whole import make_folder, replacing

__all__ = [
    "make_folder",
    "read_csv",
    "read_json",
    "read_parquet",
    "read_safetensors",
    "replacing",
    "write_csv",
    "write_json",
    "write_parquet",
    "write_safetensors",
    "write_text",
]

AGAIN = "run `dvc repro`, which makes it again"


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Indented, in the given order, non-ASCII as it is. Raises ValueError for NaN: undefined is null."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, frame: pd.DataFrame, quoting: int = csv.QUOTE_MINIMAL) -> None:
    """Six significant digits, no index, line feeds, an apostrophe before what a spreadsheet would execute.

    Every text is quoted where one holds a carriage return, which would end the row otherwise.
    """
    if _holds_return(frame):
        quoting = csv.QUOTE_NONNUMERIC
    with replacing(path) as temporary:
        inert(frame).to_csv(
            temporary, index=False, float_format="%.6g", lineterminator="\n", quoting=cast(Any, quoting)
        )


def _holds_return(frame: pd.DataFrame) -> bool:
    columns = [list(frame[name].unique()) for name in frame.select_dtypes(exclude=["number", "bool"])]
    return any("\r" in str(value) for values in (list(frame.columns), *columns) for value in values)


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """With a checksum a page, without which damage may read as other values."""
    with replacing(path) as temporary:
        frame.to_parquet(temporary, index=False, write_page_checksum=True)


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Named arrays without metadata, whose order safetensors does not keep the same between processes."""
    with replacing(path) as temporary:
        safetensors.numpy.save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)


def read_csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """What `write_csv` wrote; a text is as it was given there, an empty one is missing.

    Args:
        columns: name -> kind (int64, float64, bool or str) of those that must be there; others are inferred.

    Raises:
        InputError: missing, cut short, damaged, without one of the columns, or with another kind of value in one.
    """
    with _reading(path):
        _check_whole(path)
        frame = restored(pd.read_csv(path, dtype=cast(Any, dict(columns)), keep_default_na=False, na_values=[""]))
    _require(path, "column", columns, list(frame.columns))
    return frame


def read_parquet(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """What `write_parquet` wrote.

    Args:
        columns: name -> kind (int64, float64 or str) of those that must be there, without a missing value.

    Raises:
        InputError: missing, damaged, or another table than expected.
    """
    with _reading(path):
        frame = pd.read_parquet(path, page_checksum_verification=True)
    _require(path, "column", columns, list(frame.columns))
    for name, kind in columns.items():
        if str(frame[name].dtype) != kind or frame[name].isna().any():
            raise InputError(f"{path}: column {name!r} does not hold {kind} in every row; {AGAIN}")
    return frame


def read_safetensors(path: Path, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Every array by its name. Raises InputError: missing, damaged, or without one of the names."""
    with _reading(path):
        arrays = safetensors.numpy.load_file(path)
    _require(path, "array", names, list(arrays))
    return arrays


def read_json(path: Path) -> Any:
    """Raises InputError: missing or damaged."""
    with _reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise InputError(f"{path} is {'no file' if path.exists() else 'missing'}; {AGAIN}")
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged files surface as anything, down to bare exceptions of compiled code
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise InputError(f"{path} cannot be read ({reason}); {AGAIN}") from error


def _check_whole(path: Path) -> None:
    """Rows that lost their end would be read as missing values."""
    if not path.read_bytes().endswith(b"\n"):
        raise InputError(f"{path} is cut short: its last line has no end; {AGAIN}")


def _require(path: Path, part: str, names: Sequence[str] | Mapping[str, str], found: list[str]) -> None:
    lacking = [name for name in names if name not in found]
    if lacking:
        raise InputError(f"{path} has no {part} {lacking[0]!r}, found {', '.join(found)[:300]}; {AGAIN}")
