"""A user's table as the pipeline's pairs: columns by their own names, grades as places on the scale."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.corpus.records import Numbered, read_records, shown, unit
from pipeline.errors import InputError
from pipeline.params import Columns

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
        One row a record with query, title (str, as written), grade (int64, place in `grades`), split (str, only
        where `columns` names it) and the slices (str). The index is called "line" or "row" and holds the record's
        number in the file, from 1.

    Raises:
        InputError: what `read_records` raises; an unknown or missing grade; a value that is no text; a slice with
            a name the pipeline uses itself; no records. The message names file, line and value.
    """
    _check_slices(slices)
    parsers = _parsers(columns, slices, grades)
    records = _parsed(path, read_records(path, [name for name, _ in parsers.values()]), parsers)
    parts = []
    while rows := list(islice(records, PART)):
        numbers, values = zip(*rows, strict=True)
        index = pd.Index(numbers, name=unit(path), dtype="int64")
        frame = pd.DataFrame(values, columns=list(parsers), index=index)
        parts.append(frame.astype({column: "int64" if column == "grade" else "str" for column in frame}))
    if not parts:
        raise InputError(f"{path} holds no records; give it at least one pair for each split")
    return pd.concat(parts)


def _parsed(path: Path, records: Numbered, parsers: Parsers) -> Iterator[tuple[int, list[str | int]]]:
    for number, values in records:
        try:
            yield number, [parse(value) for (_, parse), value in zip(parsers.values(), values, strict=True)]
        except InputError as error:
            raise InputError(f"{path}, {unit(path)} {number}: {error}") from None


def _check_slices(slices: list[str]) -> None:
    for name in slices:
        if name in RESERVED:
            raise InputError(f"data.slices: {name!r} is a name of the pipeline's own; rename the table's column")
        if slices.count(name) > 1:
            raise InputError(f"data.slices: {name!r} is listed twice; list it once")


def _parsers(columns: Columns, slices: list[str], grades: list[str]) -> Parsers:
    """The frame's columns, each with its name in the table and how a value of it is read."""
    grade = partial(_grade, places={label: place for place, label in enumerate(grades)})
    parsers: Parsers = {
        "query": (columns.query, _text),
        "title": (columns.title, _text),
        "grade": (columns.grade, grade),
    }
    if columns.split is not None:
        parsers["split"] = (columns.split, _text)
    return parsers | {name: (name, _text) for name in slices}


def _text(value: Any) -> str:
    """The value as text that UTF-8 can hold."""
    text = value if isinstance(value, str) else _written(value)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{shown(text)} holds half of a surrogate pair, which no file can keep; mend it") from None
    return text


def _written(value: Any) -> str:
    """What is missing is empty, a whole number has no decimal point."""
    if isinstance(value, (list, dict, tuple, bytes)):
        raise InputError(f"{shown(value)} is no text; write one text or number a field")
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _grade(value: Any, places: dict[str, int]) -> int:
    """The place of the grade's label."""
    label = _text(value).strip()
    if not label:
        raise InputError(f"the grade is missing; give one of data.grades {list(places)} or remove the record")
    place = places.get(label, places.get(str(value)))
    if place is None:
        raise InputError(f"grade {shown(label)} is none of data.grades {list(places)}; mend the record or data.grades")
    return place
