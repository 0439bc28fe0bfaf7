"""python -m pipeline.tables: writes docs/tables.md, the dictionary of every column of every table."""

from collections.abc import Iterator
from itertools import groupby
from math import inf
from pathlib import Path

from pipeline.core.formats import write_text
from pipeline.core.schemas import Column, Records, Table
from pipeline.tables import (
    attention,
    dependency,
    finetune,
    group_ablation,
    head_ablation,
    predictions,
    prepare,
    report,
)

PAGE = Path("docs/tables.md")
TABLES: tuple[Table, ...] = (
    *prepare.SPLIT_TABLES.values(),
    prepare.REJECTED,
    *predictions.PREDICTIONS.values(),
    predictions.BILSTM_PREDICTIONS,
    finetune.CURVE,
    attention.PROFILES,
    attention.LABELS,
    attention.ATTENTION_SHIFT,
    attention.ATTENTION_SHIFT_MEAN,
    attention.HEAD_EMBEDDING,
    head_ablation.HEADS,
    head_ablation.KEPT_HEADS,
    group_ablation.GROUPS,
    group_ablation.CONTROLS,
    group_ablation.CONTRASTS,
    group_ablation.SLICES,
    dependency.EDGES,
    dependency.EDGES_TERM_MATCH,
    dependency.MEDIATION,
)
RECORDS: tuple[Records, ...] = (attention.EXAMPLE_PAIRS, dependency.EXAMPLE_CLS_ATTENTION, report.FINDINGS)
INTRODUCTION = """# Tables

<!-- Made by `python -m pipeline.tables` (`make docs`) from pipeline/tables/: edit the definitions there, not here. -->

Every column of every table that a run writes, in the files' order. Layers, heads and grades count from 0; `<grade>`
stands for each grade. Intervals are 95% intervals of a bootstrap by query. "May be missing" is NaN where a figure is
undefined, and an empty text. [method.md](method.md) says how the figures are measured. A cell of a .csv file that a
spreadsheet would execute as a formula has an apostrophe in front.
"""


def dictionary() -> str:
    """The page: a section a file."""
    alike = [list(tables) for _, tables in groupby(TABLES, lambda table: (table.title, table.columns))]
    sections = [_section([one.path for one in tables], tables[0].title, _columns(tables[0])) for tables in alike]
    sections += [_section([one.path], one.title, _keys(one)) for one in RECORDS]
    return "\n".join([INTRODUCTION, *sections])


def _section(files: list[Path], title: str, lines: Iterator[str]) -> str:
    names = ", ".join(file.as_posix() for file in files)
    return f"## {names}\n\nOne row: {title}.\n\n" + "".join(f"| {line} |\n" for line in lines)


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


def _keys(records: Records) -> Iterator[str]:
    yield "key | meaning"
    yield "--- | ---"
    for name, meaning in records.keys.items():
        yield f"`{name}` | {meaning}"


if __name__ == "__main__":
    write_text(PAGE, dictionary())
