"""Typed tables: one definition of a file's columns, by which it is written, checked, read and documented.

The definitions stand in `pipeline.tables`, a module a producing stage; `docs/tables.md` is made from them.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
import pandas as pd
from pandas.api import types

from pipeline.core import formats
from pipeline.core.errors import InputError

Fields = TypeVar("Fields")

GRADE = "<grade>"  # in a column's name: there is such a column for every grade, named 0 (the worst), 1, ...
SHARE, CHANGE_OF_SHARE, POSITIVE, ANY = (0.0, 1.0), (-1.0, 1.0), (0.0, inf), (-inf, inf)
ROUNDING = 1e-4  # what a value may lie outside its range by: scores are sums in float32
HAS_KIND = {
    "int64": types.is_integer_dtype,
    "Int64": types.is_integer_dtype,  # values may be missing
    "int64 or float64": lambda values: types.is_integer_dtype(values) or types.is_float_dtype(values),
    "float64": types.is_float_dtype,
    "float32": types.is_float_dtype,
    "bool": types.is_bool_dtype,
    "str": types.is_string_dtype,
}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: with GRADE in it, a column a grade; such columns that follow each other repeat together.
        kind: of the values, as pandas names it; "int64 or float64", in a .parquet file alone, as the file holds them.
        meaning: what a value says, a noun phrase.
        unit: of the values.
        range: lowest and highest value, both included; interval ends have that of their estimate.
        values: the texts that it may hold; empty where it may hold any.
        missing: whether values may be missing: NaN where undefined, an empty text.
        presence: "with rows" is left out of an empty table, "optional" of any.
    """

    name: str
    kind: Literal["int64", "Int64", "int64 or float64", "float64", "float32", "bool", "str"]
    meaning: str
    unit: str = ""
    range: tuple[float, float] = ANY
    values: tuple[str, ...] = ()
    missing: bool = False
    presence: Literal["always", "with rows", "optional"] = "always"

    def check(self, where: str, values: pd.Series) -> None:
        """Check the column's values in a table that is to be written.

        Raises:
            TypeError: another kind of values. ValueError: a value that is missing, out of range or none of `values`.
                The message begins with `where`.
        """
        defined = values.dropna() if self.kind == "str" else values
        if len(defined) and not HAS_KIND[self.kind](defined):
            raise TypeError(f"{where}: column {self.name!r} holds {values.dtype}, not {self.kind}")
        missing = values.isna() | (values == "")
        if missing.any() and not self.missing:
            raise ValueError(f"{where}: column {self.name!r} lacks a value in row {missing.to_numpy().argmax()}")
        wrong = pd.Series(False, index=values.index)
        if self.kind != "str" and self.range != ANY:
            wrong = (values < self.range[0] - ROUNDING) | (values > self.range[1] + ROUNDING)
        elif self.values:
            wrong = ~missing & ~values.isin(self.values)
        if wrong.any():
            row = int(wrong.to_numpy(bool, na_value=False).argmax())
            allowed = " ".join(self.values) or f"in {self.range[0]:g} to {self.range[1]:g}"
            held = f"column {self.name!r} holds {values.iloc[row]!r} in row {row}"
            raise ValueError(f"{where}: {held}; values are {allowed}")


def integer(name: str, meaning: str, unit: str = "", low: float = 0, *, missing: bool = False) -> Column:
    return Column(name, "Int64" if missing else "int64", meaning, unit, (low, inf), missing=missing)


def integer_or_number(name: str, meaning: str, unit: str = "", low: float = 0) -> Column:
    return Column(name, "int64 or float64", meaning, unit, (low, inf))


def number(
    name: str, meaning: str, unit: str = "", range: tuple[float, float] = ANY, *, missing: bool = False
) -> Column:
    return Column(name, "float64", meaning, unit, range, missing=missing)


def text(name: str, meaning: str, *values: str, missing: bool = False) -> Column:
    return Column(name, "str", meaning, values=values, missing=missing)


def flag(name: str, meaning: str) -> Column:
    return Column(name, "bool", f"whether {meaning}")


def estimate(column: Column) -> tuple[Column, ...]:
    """The column and the ends of its 95% interval, which a resample that does not define it leaves undefined."""
    meaning, names = f"lower and upper end of the 95% interval of `{column.name}`", ("low", "high")
    return column, *(replace(column, name=f"{column.name}_{end}", meaning=meaning, missing=True) for end in names)


def head_columns(prefix: str, role: str) -> tuple[Column, Column]:
    """The columns <prefix>layer and <prefix>head, which name the head in a role."""
    return (
        integer(f"{prefix}layer", f"layer of {role}, from 0"),
        integer(f"{prefix}head", f"number of {role} in its layer, from 0"),
    )


HEAD = head_columns("", "the head")


@dataclass(frozen=True)
class Table:
    """Table in a .csv or .parquet file.

    Attributes:
        title: what a row is.
        columns: in the file's order.
        extra: what further columns of texts, behind the others, hold; there are none where it is empty.
        quoting: of the texts in a .csv file, a constant of `csv`.
    """

    path: Path
    title: str
    columns: tuple[Column, ...]
    extra: str = ""
    quoting: int = csv.QUOTE_MINIMAL

    def write(self, frame: pd.DataFrame) -> None:
        """Check the frame and write it, as `formats.write_csv` or `formats.write_parquet`.

        Raises:
            ValueError, TypeError: the frame is not as the table says, an error of the program.
        """
        self.check(frame)
        if self.path.suffix == ".parquet":
            formats.write_parquet(self.path, frame)
        else:
            formats.write_csv(self.path, frame, self.quoting)

    def empty(self) -> pd.DataFrame:
        """A frame of no rows."""
        kinds = {column.name: column.kind.split(" or ")[0] for column in self._expected([], empty=True)}
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})

    def check(self, frame: pd.DataFrame) -> None:
        """Check names, order, kinds and values of a frame's columns. Raises ValueError, TypeError: as `write`."""
        names = list(frame.columns)
        expected = self._expected(names, frame.empty)
        if self.extra:
            expected += [Column(name, "str", self.extra, missing=True) for name in names[len(expected) :]]
        if names != [column.name for column in expected]:
            raise ValueError(f"{self.path}: its columns are {names}, not {[column.name for column in expected]}")
        for column in expected:
            column.check(str(self.path), frame[column.name])

    def read(self) -> pd.DataFrame:
        """Read the table as it was written.

        Raises:
            InputError: as `formats.read_csv` or `formats.read_parquet`.
        """
        read = formats.read_parquet if self.path.suffix == ".parquet" else formats.read_csv
        frame = read(self.path, self._kinds)
        names = list(frame.columns)
        formats.require(self.path, "column", [column.name for column in self._expected(names, frame.empty)], names)
        return frame

    def _kinds(self, names: Sequence[str]) -> dict[str, str]:
        return {column.name: column.kind for column in self.expanded(names) if column.name in names}

    def _expected(self, names: Sequence[str], empty: bool) -> list[Column]:
        """Expected columns of a frame that has at least these names."""
        return [
            column
            for column in self.expanded(names)
            if column.name in names or column.presence == "always" or (column.presence == "with rows" and not empty)
        ]

    def expanded(self, names: Sequence[str]) -> list[Column]:
        """Columns for as many grades as `names` has: those with GRADE in their names once for each grade."""
        patterns = [re.compile(one.name.replace(GRADE, r"\d+")) for one in self.columns if GRADE in one.name]
        grades = max((sum(bool(pattern.fullmatch(name)) for name in names) for pattern in patterns), default=0)
        found: list[Column] = []
        for graded, run in groupby(self.columns, lambda column: GRADE in column.name):
            columns = list(run)
            for grade in range(max(1, grades) if graded else 1):
                found += [replace(column, name=column.name.replace(GRADE, str(grade))) for column in columns]
        return found


@dataclass(frozen=True)
class Records:
    """List of records in a .json file. `title`: what a record is; `keys`: name -> meaning, in order."""

    path: Path
    title: str
    keys: Mapping[str, str]

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Raises ValueError: a record with other keys."""
        for record in records:
            if list(record) != list(self.keys):
                raise ValueError(f"{self.path}: a record has the keys {list(record)}, not {list(self.keys)}")
        formats.write_json(self.path, records)

    def read(self) -> list[dict[str, Any]]:
        """Raises InputError: as `formats.read_json`; another content."""
        records = formats.read_json(self.path)
        if isinstance(records, list) and all(
            isinstance(one, dict) and self.keys.keys() <= one.keys() for one in records
        ):
            return records
        raise InputError(f"{self.path} holds no list of records with {', '.join(self.keys)}; {formats.RERUN_ADVICE}")


@dataclass(frozen=True)
class Arrays:
    """A .safetensors file of named arrays. `title`: what they are; `keys`: name -> meaning, kind and axes."""

    path: Path
    title: str
    keys: Mapping[str, str]

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raises ValueError: arrays of other names."""
        if list(arrays) != list(self.keys):
            raise ValueError(f"{self.path}: its arrays are {list(arrays)}, not {list(self.keys)}")
        formats.write_safetensors(self.path, arrays)


def read_arrays(path: Path, kind: type[Fields]) -> Fields:
    """A dataclass of arrays as written by its fields' names. Raises InputError as `formats.read_safetensors`."""
    names = [field.name for field in fields(cast(Any, kind))]
    found = formats.read_safetensors(path, names)
    return kind(**{name: found[name] for name in names})


def metrics(path: Path, keys: tuple[str, ...] = ()) -> dict:
    """Read a stage's metrics.json with these keys.

    Raises:
        InputError: as `formats.read_json`; another content.
    """
    found = formats.read_json(path)
    if not isinstance(found, dict) or set(keys) - set(found):
        raise InputError(f"{path} holds no metrics {', '.join(keys)}; {formats.RERUN_ADVICE}")
    return found
