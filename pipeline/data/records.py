"""Numbered records of files: .csv, .tsv, .jsonl and .parquet tables, lines of JSON objects, lines of fields."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from pipeline.core.errors import InputError, quote_value
from pipeline.core.file_content import check_content

NumberedRecord = Iterator[tuple[int, list[Any]]]

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is shorter than some titles
SEPARATORS = {"\t": "tabs, as in a .tsv file", ",": "commas, as in a .csv file", ";": "semicolons", "|": "bars"}
SAVED_AGAIN = "save the table as .csv, or without quoting (in pandas: to_csv(..., quoting=3))"
LISTED = 1000  # characters of the list of a table's columns


def record_unit(path: Path) -> str:
    """Unit of a record's number: the lines of a text file, the rows of a parquet file."""
    return "row" if path.suffix == ".parquet" else "line"


def read_records(path: Path, names: list[str], key: str) -> NumberedRecord:
    """Yield each record's number and its values of the named columns, in the order of `names`.

    The number is the line on which the record starts, the header and blank lines counted, or a parquet file's
    row, both from 1. Values are text in .csv and .tsv, and what the file says they are in .jsonl and .parquet.
    A .tsv file has no quoting, as search logs have none: a quotation mark is part of the text. `key` is that of
    params.yaml which names the file.

    Raises:
        InputError: no such file, or a stand-in for it; not UTF-8; no such column or two of the name; a record with
            another number of fields than the header, with broken quotes, or no JSON object; a .tsv file whose fields
            are in quotes; no readable parquet file.
    """
    _require_file(path, f"put the table there or fix {key}")
    check_content(path)
    if path.suffix == ".parquet":
        return _parquet(path, names)
    _require_utf8(path)
    if path.suffix == ".jsonl":
        return _json_lines(path, names)
    if path.suffix == ".tsv":
        return _unquoted(path, names)
    return _delimited(path, names, delimiter=",", quoting=csv.QUOTE_MINIMAL)


def read_json_objects(path: Path, fix: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each JSON object of a .jsonl file with its line. `fix`: said where there is no such file.

    Raises:
        InputError: no such file; not UTF-8; a line that is no JSON object.
    """
    _require_file(path, fix)
    _require_utf8(path)
    return _json_objects(path)


def read_fields(path: Path, separator: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each line that is not blank, with its number; without a `separator` between white space.

    Raises:
        InputError: no such file; not UTF-8.
    """
    _require_file(path, "put the file there")
    _require_utf8(path)
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line.rstrip("\r\n").split(separator)


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put the place before the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def text_of(value: Any) -> str:
    """Value as text that UTF-8 can encode: empty where missing, integers without a decimal point."""
    text = value if isinstance(value, str) else _written(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"{quote_value(text)} holds half of a surrogate pair, which no file can keep; fix it"
        ) from None
    return text


def _written(value: Any) -> str:
    if isinstance(value, (list, dict, tuple, bytes)):
        raise InputError(f"{quote_value(value)} is not text; write one text or number a field")
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _require_file(path: Path, fix: str) -> None:
    if not path.is_file():
        is_other = os.path.lexists(path)  # a folder, a pipe, a link that leads nowhere
        raise InputError(f"{path} is {'no file' if is_other else 'missing'}; {fix}")


def _require_utf8(path: Path) -> None:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}, line {number}, byte {error.start + 1} of the line: 0x{line[error.start]:02x} is not "
                    "UTF-8; save the table as UTF-8"
                ) from None


def _require_columns(where: str, names: list[str], found: list[str]) -> None:
    for name in names:
        if name not in found:
            listed = str(found)[:LISTED]
            raise InputError(
                f"{where}: no column {name!r}; found {listed}; fix data.columns, data.slices or the table"
                f"{_other_separator(names, found)}"
            )
        if found.count(name) > 1:
            raise InputError(f"{where}: {found.count(name)} columns are called {name!r}; rename all but one")


def _other_separator(names: list[str], found: list[str]) -> str:
    """What a header of one field says of the table's separator, "" where nothing."""
    for separator, written in SEPARATORS.items():
        if len(found) == 1 and set(names) <= {part.strip('"') for part in found[0].split(separator)}:
            return f": its fields are separated by {written}"
    return ""


def _unquoted(path: Path, names: list[str]) -> NumberedRecord:
    """Records of a .tsv file. Raises InputError where its fields are in quotes, as common tools write them."""
    quoted, lone = None, False
    for number, values in _delimited(path, names, delimiter="\t", quoting=csv.QUOTE_NONE):
        for value in values:
            if '"' in value and not lone:
                is_quoted = len(value) > 1 and value[0] == value[-1] == '"' and '"' not in value[1:-1].replace('""', "")
                lone = not is_quoted
                if is_quoted and '""' in value[1:-1]:
                    quoted = quoted or (number, value)
        yield number, values
    if quoted and not lone:
        number, value = quoted
        raise InputError(
            f"{path}, line {number}: {quote_value(value)} looks quoted, as all fields with a quotation mark do, but "
            f"a .tsv file has no quoting: the quotation marks would be part of the text; {SAVED_AGAIN}"
        )


def _delimited(path: Path, names: list[str], delimiter: str, quoting: Literal[0, 3]) -> NumberedRecord:
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = _numbered_rows(path, csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True))
        line, header = next(rows, (1, []))
        if quoting == csv.QUOTE_NONE and any(f'"{name}"' in header for name in names):
            raise InputError(f"{path}, line {line}: {quote_value(header)} looks quoted; {SAVED_AGAIN}")
        _require_columns(f"{path}, line {line}", names, header)
        columns = [header.index(name) for name in names]
        for line, fields in rows:
            if len(fields) != len(header):
                raise InputError(
                    f"{path}, line {line}: {len(fields)} fields where the header has {len(header)}: "
                    f"{quote_value(fields)}; fix the row{_split_by_quotes(fields, quoting)}"
                )
            yield line, [fields[column] for column in columns]


def _split_by_quotes(fields: list[str], quoting: int) -> str:
    """What a row with a wrong number of fields says of quoting, "" where nothing."""
    if quoting == csv.QUOTE_NONE and any(field.count('"') % 2 and field.startswith('"') for field in fields):
        return f". If a field in quotes holds a tab or a line end: {SAVED_AGAIN}"
    return ""


def _numbered_rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line on which each starts: a quoted field may hold line ends."""
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}, line {start}: {error}; fix the quotes of the row that starts here: one inside a field is "
                'written twice, "", not \\" (in Spark: option("escape", "\\""))'
            ) from None
        if fields:
            yield start, fields


def _json_lines(path: Path, names: list[str]) -> NumberedRecord:
    for number, record in _json_objects(path):
        _require_columns(f"{path}, line {number}", names, list(record))
        yield number, [record[name] for name in names]


def _json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: not JSON ({error}); fix the line") from None
            if not isinstance(record, dict):
                raise InputError(
                    f"{path}, line {number}: {quote_value(record)} is not a JSON object; write one object a line"
                )
            yield number, record


def _parquet(path: Path, names: list[str]) -> NumberedRecord:
    try:
        _require_columns(str(path), names, pyarrow.parquet.read_schema(path).names)
        table = pyarrow.parquet.read_table(path, columns=names)
        columns = [_values(path, table.column(name)) for name in names]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: of a column's name
        raise InputError(f"{path} is not a readable parquet file: {error}") from None
    for number, values in enumerate(zip(*columns, strict=True), 1):
        yield number, list(values)


def _values(path: Path, column: pa.ChunkedArray) -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        for row, cell in enumerate(column, 1):
            try:
                cell.as_py()
            except UnicodeDecodeError as error:
                raise InputError(f"{path}, row {row}: text is not UTF-8 ({error}); write it as UTF-8") from None
        raise
