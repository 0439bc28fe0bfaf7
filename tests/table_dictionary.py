"""python -m tests.table_dictionary (make docs) writes docs/tables.md, the dictionary of every table's columns."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from math import inf
from pathlib import Path
from typing import TypeVar

from pipeline.core.formats import write_text
from pipeline.core.schemas import Arrays, Column, Records, Table
from pipeline.tables import attention, dependency, grading, group_ablation, head_ablation, prepare, pruning, report

PAGE = Path("docs/tables.md")
MODULES = (prepare, grading, attention, head_ablation, group_ablation, dependency, pruning, report)
Definition = TypeVar("Definition")


def _defined(kind: type[Definition]) -> tuple[Definition, ...]:
    """Every definition of a kind, in the modules' order, alone or by the kind of model."""
    values = (value for module in MODULES for value in vars(module).values())
    every = (one for value in values for one in (value.values() if isinstance(value, dict) else (value,)))
    return tuple(one for one in every if isinstance(one, kind))


TABLES = _defined(Table)
# The default run writes none.
OF_RANKERS = [
    tables["ranker"]
    for module in MODULES
    for tables in vars(module).values()
    if isinstance(tables, dict) and isinstance(tables.get("ranker"), Table)
]
ARRAYS, RECORDS = _defined(Arrays), _defined(Records)
INTRODUCTION = """# Tables

<!-- Made by `make docs` (tests/table_dictionary.py) from pipeline/tables/: edit the definitions there, not here. -->

Every column of every table that a run writes, in the files' order. Layers, heads and grades count from 0; `<grade>`
stands for each grade. Intervals are 95% intervals of a bootstrap by query. "May be missing" is NaN where a figure is
undefined, and an empty text. [method.md](method.md) says how the figures are measured. A cell of a .csv file that a
spreadsheet would execute as a formula has an apostrophe in front.
"""


def dictionary() -> str:
    """The page: a section a file."""
    alike = [list(tables) for _, tables in groupby(TABLES, lambda table: (table.title, table.columns))]
    sections = [
        _section(
            [one.path for one in tables],
            f"One row: {tables[0].title}",
            _columns(tables[0]),
            " (of a ranker)" if tables[0] in OF_RANKERS else "",
        )
        for tables in alike
    ]
    sections += [_section([one.path], f"One record: {one.title}", _keys("key", one.keys)) for one in RECORDS]
    sections += [_section([one.path], f"Arrays: {one.title}", _keys("array", one.keys)) for one in ARRAYS]
    return "\n".join([INTRODUCTION, *sections])


def _section(files: list[Path], title: str, lines: Iterator[str], kind: str = "") -> str:
    names = ", ".join(file.as_posix() for file in files)
    return f"## {names}{kind}\n\n{title}.\n\n" + "".join(f"| {line} |\n" for line in lines)


def _columns(table: Table) -> Iterator[str]:
    yield "column | kind | unit | values | meaning"
    yield "--- | --- | --- | --- | ---"
    for said, columns in groupby(table.columns, _description):
        yield f"{', '.join(f'`{column.name}`' for column in columns)} | {said}"
    if table.extra:
        yield f"... | str | | may be missing | {table.extra}"


def _description(column: Column) -> str:
    meaning = {"with rows": " (not in a table without rows)", "optional": " (may be left out)"}.get(column.presence, "")
    return f"{column.kind} | {column.unit} | {_values(column)} | {column.meaning}{meaning}"


def _values(column: Column) -> str:
    low, high = column.range
    ranges = {(True, True): f"{low:g} to {high:g}", (True, False): f"{low:g} or more"}
    said = [", ".join(column.values) or ranges.get((low > -inf, high < inf), "")]
    return "; ".join(filter(None, [*said, "may be missing" if column.missing else ""]))


def _keys(kind: str, keys: Mapping[str, str]) -> Iterator[str]:
    yield f"{kind} | meaning"
    yield "--- | ---"
    for name, meaning in keys.items():
        yield f"`{name}` | {meaning}"


if __name__ == "__main__":
    write_text(PAGE, dictionary())
