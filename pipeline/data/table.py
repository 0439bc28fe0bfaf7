"""Reader of a user's tables: .csv, .tsv, .jsonl and .parquet as pairs with their grades."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.config import Columns
from pipeline.core.errors import InputError, quote_value
from pipeline.data.deduplication import PART_FILE
from pipeline.data.grades import grade_kind, grade_parser
from pipeline.data.records import NumberedRecord, located, read_records, record_unit, text_of

# Column of the frame -> its name in the table, what reads a value, and the kind of what it gives.
Parsers = dict[str, tuple[str, Callable[[Any], str | int | float], str]]

PART = 50_000  # records held as Python objects, which take several times the space of a column
RESERVED = ("query_id", "query", "title", "grade", "split", PART_FILE)
# What lies in folders whose files alone are not the table -> what that says, and the fix.
NOT_PARTS_ALONE = {
    "_delta_log": (
        "a Delta table: its log says which of the files count, and others hold rows that were deleted or replaced",
        "write it as plain files first (in Spark: read.format('delta').load(...).write.parquet(...))",
    ),
    ".hoodie": ("a Hudi table, of which not every file counts", "write it as plain files first"),
    "_temporary": ("not finished: the job that writes it runs, or ended too early", "wait for it, or write it again"),
}


def read_table(path: Path, columns: Columns, slices: list[str], grades: list[str]) -> pd.DataFrame:
    """Read the table's pairs, from one file or from the parts that Spark writes into a folder of its name.

    Numbers in a .jsonl or .parquet file are read as text: 3 and 3.0 are "3", the label "3.0" is found too. Grades that
    are numbers may be written otherwise than in `grades`, as 3.0 for 3.

    Args:
        columns: the table's own names of query, title, grade and, if it has one, split.
        slices: further columns to keep, under their own names.
        grades: the labels from worst to best; none where grades are numbers.

    Returns:
        One row a record with query, title (str, as written), grade (int64, its position in `grades`, or float64, the
        number), split (str, only where `columns` names it), the slices (str) and PART_FILE (str, the name of the part,
        only of a folder). The index is called "line" or "row" and holds the record's number in its file, from 1.

    Raises:
        InputError: what `read_records` raises; an unknown, missing or impossible grade; a value that is not text; a
            slice with a name the pipeline uses itself; no records. The message names file, line and value.
    """
    _check_slices(slices)
    return _read(path, _parsers(columns, slices, grades), "data.source")


def read_unlabelled(path: Path, columns: Columns) -> pd.DataFrame:
    """Read the queries and titles of a table, and none of its grades: as `read_table`, query and title alone."""
    return _read(path, _text_parsers(columns), "data.unlabelled")


def _read(path: Path, parsers: Parsers, key: str) -> pd.DataFrame:
    """The parsed columns. `key`: of params.yaml, where the table is named."""
    if path.is_dir():
        files = _part_files(path, key)
        parts = [part.assign(**{PART_FILE: file.name}) for file in files for part in _read_file(file, parsers, key)]
    else:
        parts = list(_read_file(path, parsers, key))
    if not parts:
        raise InputError(f"{path} holds no records; give it pairs or fix {key}")
    return pd.concat(parts)


def _part_files(folder: Path, key: str) -> list[Path]:
    """The files of a table that Spark wrote as a folder, in their order; those with _ or . before the name are its own.

    Raises:
        InputError: none of the folder's ending; folders in it, a table partitioned by a column; or NOT_PARTS_ALONE.
    """
    for name, (kind, fix) in NOT_PARTS_ALONE.items():
        if (folder / name).exists():
            raise InputError(f"{folder} is {kind} ({name}); {fix}")
    inside = sorted(path for path in folder.iterdir() if path.name[0] not in "._")
    parts = [path for path in inside if path.suffix == folder.suffix and path.is_file()]
    if others := [path.name for path in inside if path not in parts]:
        raise InputError(
            f"{folder} is a folder with {quote_value(others[0])} in it, which is no {folder.suffix} part of a table; "
            "unpack or remove it (of a partitioned table: write it without partitionBy)"
        )
    if not parts:
        raise InputError(f"{folder} is no file; put the table there or fix {key}")
    return parts


def _read_file(path: Path, parsers: Parsers, key: str) -> Iterator[pd.DataFrame]:
    records = _parsed(path, read_records(path, [name for name, _, _ in parsers.values()], key), parsers)
    kinds = {column: kind for column, (_, _, kind) in parsers.items()}
    while rows := list(islice(records, PART)):
        numbers, values = zip(*rows, strict=True)
        index = pd.Index(numbers, name=record_unit(path), dtype="int64")
        yield pd.DataFrame(values, columns=list(parsers), index=index).astype(kinds)


def _parsed(path: Path, records: NumberedRecord, parsers: Parsers) -> Iterator[tuple[int, list[str | int | float]]]:
    for number, values in records:
        with located(f"{path}, {record_unit(path)} {number}"):
            parsed = [parse(value) for (_, parse, _), value in zip(parsers.values(), values, strict=True)]
        yield number, parsed


def _check_slices(slices: list[str]) -> None:
    for name in slices:
        if name in RESERVED:
            raise InputError(f"data.slices: {name!r} is a name of the pipeline's own; rename the table's column")
        if slices.count(name) > 1:
            raise InputError(f"data.slices: {name!r} is listed twice; list it once")


def _parsers(columns: Columns, slices: list[str], grades: list[str]) -> Parsers:
    """Parsers of the frame's columns, with their names in the table."""
    parsers = _text_parsers(columns) | {"grade": (columns.grade, grade_parser(grades), grade_kind(grades))}
    if columns.split is not None:
        parsers["split"] = (columns.split, text_of, "str")
    return parsers | {name: (name, text_of, "str") for name in slices}


def _text_parsers(columns: Columns) -> Parsers:
    return {"query": (columns.query, text_of, "str"), "title": (columns.title, text_of, "str")}
