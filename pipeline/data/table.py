"""Reader of a user's tables: .csv, .tsv, .jsonl and .parquet as pairs, their grades numbered from worst to best."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from pipeline.core.config import Columns
from pipeline.core.errors import InputError, quote_value

Parsers = dict[str, tuple[str, Callable[[Any], str | int]]]

PART = 50_000  # records held as Python objects, which take several times the space of a column
RESERVED = ("query_id", "query", "title", "grade", "split")


def read_table(path: Path, columns: Columns, slices: list[str], grades: list[str]) -> pd.DataFrame:
    """Read the table's pairs.

    Numbers in a .jsonl or .parquet file are read as text: 3 and 3.0 are "3", the label "3.0" is found too.

    Args:
        columns: the table's own names of query, title, grade and, if it has one, split.
        slices: further columns to keep, under their own names.
        grades: the labels from worst to best.

    Returns:
        One row a record with query, title (str, as written), grade (int64, its number in `grades`), split (str, only
        where `columns` names it) and the slices (str). The index is called "line" or "row" and holds the record's
        number in the file, from 1.

    Raises:
        InputError: what `read_records` raises; an unknown or missing grade; a value that is not text; a slice with
            a name the pipeline uses itself; no records. The message names file, line and value.
    """
    _check_slices(slices)
    return _read(path, _parsers(columns, slices, grades), "data.source")


def read_unlabelled(path: Path, columns: Columns) -> pd.DataFrame:
    """Read the queries and titles of a table, and none of its grades: as `read_table`, query and title alone."""
    return _read(path, _text_parsers(columns), "data.unlabelled")


def _read(path: Path, parsers: Parsers, key: str) -> pd.DataFrame:
    """The parsed columns. `key`: of params.yaml, where the table is named."""
    records = _parsed(path, read_records(path, [name for name, _ in parsers.values()], key), parsers)
    parts = []
    while rows := list(islice(records, PART)):
        numbers, values = zip(*rows, strict=True)
        index = pd.Index(numbers, name=record_unit(path), dtype="int64")
        frame = pd.DataFrame(values, columns=list(parsers), index=index)
        parts.append(frame.astype({column: "int64" if column == "grade" else "str" for column in frame}))
    if not parts:
        raise InputError(f"{path} holds no records; give it pairs or fix {key}")
    return pd.concat(parts)


def _parsed(path: Path, records: "NumberedRecord", parsers: Parsers) -> Iterator[tuple[int, list[str | int]]]:
    for number, values in records:
        try:
            yield number, [parse(value) for (_, parse), value in zip(parsers.values(), values, strict=True)]
        except InputError as error:
            raise InputError(f"{path}, {record_unit(path)} {number}: {error}") from None


def _check_slices(slices: list[str]) -> None:
    for name in slices:
        if name in RESERVED:
            raise InputError(f"data.slices: {name!r} is a name of the pipeline's own; rename the table's column")
        if slices.count(name) > 1:
            raise InputError(f"data.slices: {name!r} is listed twice; list it once")


def _parsers(columns: Columns, slices: list[str], grades: list[str]) -> Parsers:
    """Parsers of the frame's columns, with their names in the table."""
    grade = partial(_grade, numbers={label: number for number, label in enumerate(grades)})
    parsers = _text_parsers(columns) | {"grade": (columns.grade, grade)}
    if columns.split is not None:
        parsers["split"] = (columns.split, _text)
    return parsers | {name: (name, _text) for name in slices}


def _text_parsers(columns: Columns) -> Parsers:
    return {"query": (columns.query, _text), "title": (columns.title, _text)}


def _text(value: Any) -> str:
    """Value as text that UTF-8 can encode."""
    text = value if isinstance(value, str) else _written(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"{quote_value(text)} holds half of a surrogate pair, which no file can keep; fix it"
        ) from None
    return text


def _written(value: Any) -> str:
    """Value as written: empty where missing, integers without a decimal point."""
    if isinstance(value, (list, dict, tuple, bytes)):
        raise InputError(f"{quote_value(value)} is not text; write one text or number a field")
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _grade(value: Any, numbers: dict[str, int]) -> int:
    """Index of the grade's label."""
    label = _text(value).strip()
    if not label:
        raise InputError(f"the grade is missing; give one of data.grades {list(numbers)} or remove the record")
    grade = numbers.get(label, numbers.get(str(value)))
    if grade is None:
        raise InputError(
            f"grade {quote_value(label)} is none of data.grades {list(numbers)}; fix the record or data.grades"
        )
    return grade


NumberedRecord = Iterator[tuple[int, list[Any]]]

LONGEST_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is shorter than some titles
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
        InputError: no such file; not UTF-8; no such column or two of the name; a record with another number of
            fields than the header, with broken quotes, or no JSON object; no readable parquet file.
    """
    if not path.is_file():
        is_other = os.path.lexists(path)  # a folder, a pipe, a link that leads nowhere
        raise InputError(f"{path} is {'no file' if is_other else 'missing'}; put the table there or fix {key}")
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
            raise InputError(f"{where}: no column {name!r}; found {listed}; fix data.columns, data.slices or the table")
        if found.count(name) > 1:
            raise InputError(f"{where}: {found.count(name)} columns are called {name!r}; rename all but one")


def _delimited(path: Path, names: list[str], delimiter: str, quoting: Literal[0, 3]) -> NumberedRecord:
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = _numbered_rows(path, csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True))
        line, header = next(rows, (1, []))
        _require_columns(f"{path}, line {line}", names, header)
        columns = [header.index(name) for name in names]
        for line, fields in rows:
            if len(fields) != len(header):
                raise InputError(
                    f"{path}, line {line}: {len(fields)} fields where the header has {len(header)}: "
                    f"{quote_value(fields)}; fix the row"
                )
            yield line, [fields[column] for column in columns]


def _numbered_rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line on which each starts: a quoted field may hold line ends."""
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}, line {start}: {error}; fix the quotes of the row that starts here") from None
        if fields:
            yield start, fields


def _json_lines(path: Path, names: list[str]) -> NumberedRecord:
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
            _require_columns(f"{path}, line {number}", names, list(record))
            yield number, [record[name] for name in names]


def _parquet(path: Path, names: list[str]) -> NumberedRecord:
    try:
        _require_columns(str(path), names, pyarrow.parquet.read_schema(path).names)
        table = pyarrow.parquet.read_table(path, columns=names)
        columns = [_values(path, table.column(name)) for name in names]
    except (pa.ArrowException, OSError) as error:
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
