"""What prepare writes: the splits, and the pairs set aside."""

import csv

from pipeline.core import paths
from pipeline.core.schemas import Column, Table, integer, integer_or_number, text

QUERY_ID = integer("query_id", "number of the query, the same in every split")
GRADE = integer_or_number(
    "grade", "gold grade: its position in `data.grades`, 0 the worst; the number itself where grades are numbers"
)
SPLIT_TABLES = {
    path: Table(
        path,
        "a query-title pair of the split",
        (QUERY_ID, text("query", "text of the query"), text("title", "text of the title"), GRADE),
        extra="a column to slice by: `phenomenon` and `vocabulary` of a generated pair, "
        "those of `data.slices` of a table's",
    )
    for path in (paths.TRAIN, paths.DEV, paths.TEST)
}
UNLABELLED = Table(
    paths.UNLABELLED,
    "a pair of `data.unlabelled`, without a grade; none where that is null",
    (
        integer("query_id", "number of the query among those of this table"),
        text("query", "text of the query"),
        text("title", "text of the title"),
    ),
)
REJECTED = Table(
    paths.REJECTED,
    "a pair set aside",
    (
        Column("part_file", "str", "file of the pair, where the table is a folder of parts", presence="optional"),
        integer("line", "line or row of the user's table, from 1; of a BEIR folder's run or judgements", low=1),
        text("reason", "why", "empty query", "empty title", "conflicting duplicate", "duplicate"),
        text("query", "text of the query", missing=True),
        text("title", "text of the title", missing=True),
        text("grade", "the grade's label, or the number"),
    ),
    quoting=csv.QUOTE_NONNUMERIC,
)
