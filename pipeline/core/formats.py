"""File formats of the stages: CSV, JSON, Parquet, safetensors; the same content gives the same bytes.

Every file is written atomically. A file that cannot be written or read is an InputError that names it, what is wrong
and the fix. Texts of a .csv file that a spreadsheet would execute as formulas ("CSV injection") get an apostrophe in
front, and lose it again when read: cells that begin with = + - or @, some behind white space or quotation marks, and
the wide forms of these characters; a plain number is none.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import safetensors.numpy
from pandas.api.types import is_numeric_dtype

from pipeline.core.atomic import replace_atomically
from pipeline.core.errors import InputError

RERUN_ADVICE = "run `dvc repro`, which makes it again"
# Column -> its kind as pandas names it; or what gives them for the columns that a file has.
Kinds = Mapping[str, str] | Callable[[list[str]], Mapping[str, str]]


def write_text(path: Path, text: str) -> None:
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, in the given order, non-ASCII unescaped. Raises ValueError for NaN: undefined is null."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, frame: pd.DataFrame, quoting: int = csv.QUOTE_MINIMAL) -> None:
    """Write CSV: six significant digits, no index, line feeds, an apostrophe before what a spreadsheet would execute.

    Every text is quoted where one holds a carriage return, which would end the row otherwise.
    """
    if _holds_return(frame):
        quoting = csv.QUOTE_NONNUMERIC
    with replace_atomically(path) as temporary:
        escape_formulas(frame).to_csv(
            temporary, index=False, float_format="%.6g", lineterminator="\n", quoting=cast(Any, quoting)
        )


def _holds_return(frame: pd.DataFrame) -> bool:
    columns = [list(frame[name].unique()) for name in frame.select_dtypes(exclude=["number", "bool"])]
    return any("\r" in str(value) for values in (list(frame.columns), *columns) for value in values)


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write Parquet with page checksums, without which damage may read as other values."""
    with replace_atomically(path) as temporary:
        frame.to_parquet(temporary, index=False, write_page_checksum=True)


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays without metadata, whose order safetensors does not keep the same between processes."""
    with replace_atomically(path) as temporary:
        safetensors.numpy.save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)


def read_csv(path: Path, columns: Kinds) -> pd.DataFrame:
    """Read what `write_csv` wrote; a text is as it was given there, an empty one is missing.

    Args:
        columns: name -> kind (int64, float64, bool or str) of those that must be there; others are inferred.

    Raises:
        InputError: missing, cut short, damaged, without one of the columns, or with another kind of value in one.
    """
    with _reading(path):
        _check_whole(path)
        kinds = columns(list(pd.read_csv(path, nrows=0).columns)) if callable(columns) else columns
        frame = unescape_formulas(
            pd.read_csv(path, dtype=cast(Any, dict(kinds)), keep_default_na=False, na_values=[""])
        )
    require(path, "column", kinds, list(frame.columns))
    return frame


def read_parquet(path: Path, columns: Kinds) -> pd.DataFrame:
    """Read what `write_parquet` wrote.

    Args:
        columns: name -> kind (int64, float64, float32, str, or two of them with "or" between) of those that must be
            there, without a missing value.

    Raises:
        InputError: missing, damaged, or another table than expected.
    """
    with _reading(path):
        frame = pd.read_parquet(path, page_checksum_verification=True)
    kinds = columns(list(frame.columns)) if callable(columns) else columns
    require(path, "column", kinds, list(frame.columns))
    for name, kind in kinds.items():
        if str(frame[name].dtype) not in kind.split(" or ") or frame[name].isna().any():
            raise InputError(f"{path}: column {name!r} does not hold {kind} in every row; {RERUN_ADVICE}")
    return frame


def read_safetensors(path: Path, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read every array by its name. Raises InputError: missing, damaged, or without one of the names."""
    with _reading(path):
        arrays = safetensors.numpy.load_file(path)
    require(path, "array", names, list(arrays))
    return arrays


def read_json(path: Path) -> Any:
    """Read JSON. Raises InputError: missing or damaged."""
    with _reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise InputError(f"{path} is {'no file' if path.exists() else 'missing'}; {RERUN_ADVICE}")
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged files surface as anything, down to bare exceptions of compiled code
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise InputError(f"{path} cannot be read ({reason}); {RERUN_ADVICE}") from error


def _check_whole(path: Path) -> None:
    """Rows that lost their end would be read as missing values."""
    if not path.read_bytes().endswith(b"\n"):
        raise InputError(f"{path} is cut short: its last line has no end; {RERUN_ADVICE}")


def require(path: Path, part: str, names: Sequence[str] | Mapping[str, str], found: list[str]) -> None:
    """Check that a file's parts (columns, arrays) are there. Raises InputError: one of `names` is not in `found`."""
    lacking = [name for name in names if name not in found]
    if lacking:
        raise InputError(f"{path} has no {part} {lacking[0]!r}, found {', '.join(found)[:300]}; {RERUN_ADVICE}")


FORMULA = re.compile(r"""['"\s]*[=+\-@＝＋－＠]|'*[\t\r\n]""")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may execute a cell that holds the text."""
    return FORMULA.match(text) is not None and NUMBER.fullmatch(text) is None


def escape_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Escape formulas: an apostrophe before every cell and column name that is a formula's text."""
    return _map_texts(frame, lambda text: f"'{text}" if is_formula(text) else text)


def unescape_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Undo `escape_formulas`."""
    return _map_texts(frame, lambda text: text[1:] if text.startswith("'") and is_formula(text[1:]) else text)


def _map_texts(frame: pd.DataFrame, change: Any) -> pd.DataFrame:
    columns = {place: _map_column(frame.iloc[:, place], change) for place in range(frame.shape[1])}
    mapped = pd.DataFrame(columns, index=frame.index)
    mapped.columns = pd.Index([change(name) if isinstance(name, str) else name for name in frame.columns])
    return mapped


def _map_column(column: pd.Series, change: Any) -> pd.Series:
    if is_numeric_dtype(column):
        return column
    new = {text: change(text) for text in column.unique() if isinstance(text, str) and change(text) != text}
    return column.map(lambda value: new.get(value, value)) if new else column
