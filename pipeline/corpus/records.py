"""Records of a .csv, .tsv, .jsonl or .parquet file, each with the number a person finds it by."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet

from pipeline.errors import InputError

Numbered = Iterator[tuple[int, list[Any]]]

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is shorter than some titles
LISTED = 1000  # characters of the list of a table's columns
SHOWN = 100  # characters of a value in a message


def unit(path: Path) -> str:
    """What a record's number counts: the lines of a text file, the rows of a parquet file."""
    return "row" if path.suffix == ".parquet" else "line"


def shown(value: Any) -> str:
    """The value as a message names it: quoted, control characters escaped, cut where it is long."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def read_records(path: Path, names: list[str]) -> Numbered:
    """Yield each record's number and its values of the named columns, in the order of `names`.

    The number is the line on which the record starts, the header and blank lines counted, or a parquet file's
    row, both from 1. Values are text in .csv and .tsv, and what the file says they are in .jsonl and .parquet.
    A .tsv file has no quoting, as search logs have none: a quotation mark is part of the text.

    Raises:
        InputError: no such file; not UTF-8; no such column or two of the name; a record with another number of
            fields than the header, with broken quotes, or no JSON object; no readable parquet file.
    """
    if not path.is_file():
        is_other = os.path.lexists(path)  # a folder, a pipe, a link that leads nowhere
        raise InputError(f"{path} is {'no file' if is_other else 'missing'}; put the table there or mend data.source")
    if path.suffix == ".parquet":
        return _parquet(path, names)
    _require_utf8(path)
    if path.suffix == ".jsonl":
        return _json_lines(path, names)
    if path.suffix == ".tsv":
        return _delimited(path, names, delimiter="\t", quoting=csv.QUOTE_NONE)
    return _delimited(path, names, delimiter=",", quoting=csv.QUOTE_MINIMAL)


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
                f"{where}: no column {name!r}; found {listed}; mend data.columns, data.slices or the table"
            )
        if found.count(name) > 1:
            raise InputError(f"{where}: {found.count(name)} columns are called {name!r}; rename all but one")


def _delimited(path: Path, names: list[str], delimiter: str, quoting: Literal[0, 3]) -> Numbered:
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = _numbered_rows(path, csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True))
        line, header = next(rows, (1, []))
        _require_columns(f"{path}, line {line}", names, header)
        places = [header.index(name) for name in names]
        for line, fields in rows:
            if len(fields) != len(header):
                raise InputError(
                    f"{path}, line {line}: {len(fields)} fields where the header has {len(header)}: "
                    f"{shown(fields)}; mend the row"
                )
            yield line, [fields[place] for place in places]


def _numbered_rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line on which it starts: a quoted field may hold line ends."""
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}, line {start}: {error}; mend the quotes of the row that starts here") from None
        if fields:
            yield start, fields


def _json_lines(path: Path, names: list[str]) -> Numbered:
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: not JSON ({error}); mend the line") from None
            if not isinstance(record, dict):
                raise InputError(f"{path}, line {number}: {shown(record)} is no JSON object; write one object a line")
            _require_columns(f"{path}, line {number}", names, list(record))
            yield number, [record[name] for name in names]


def _parquet(path: Path, names: list[str]) -> Numbered:
    try:
        found = pyarrow.parquet.read_schema(path).names
        _require_columns(str(path), names, found)
        table = pyarrow.parquet.read_table(path, columns=names)
        columns = [_values(path, table.column(name)) for name in names]
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is no readable parquet file: {error}") from None
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
