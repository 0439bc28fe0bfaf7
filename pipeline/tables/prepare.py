"""What prepare writes: the splits, and the pairs set aside."""

import csv

from pipeline.core import paths
from pipeline.core.schemas import POSITIVE, Column, Table

QUERY_ID = Column("query_id", "int64", "number of the query, the same in every split", range=POSITIVE)
GRADE = Column("grade", "int64", "gold grade as a position in `data.grades`, 0 the worst", range=POSITIVE)
TEXTS = (Column("query", "str", "text of the query"), Column("title", "str", "text of the title"))
SPLIT_TABLES = {
    path: Table(
        path,
        "a query-title pair of the split",
        (QUERY_ID, *TEXTS, GRADE),
        extra="a column to slice by: `phenomenon` of a generated pair, those of `data.slices` of a table's",
    )
    for path in (paths.TRAIN, paths.DEV, paths.TEST)
}
REJECTED = Table(
    paths.REJECTED,
    "a pair set aside",
    (
        Column("line", "int64", "line or row of the user's table, from 1", range=(1, POSITIVE[1])),
        Column(
            "reason",
            "str",
            "why it is set aside",
            values=("empty query", "empty title", "conflicting duplicate", "duplicate"),
        ),
        Column("query", "str", "text of the query", missing=True),
        Column("title", "str", "text of the title", missing=True),
        Column("grade", "str", "the grade's label"),
    ),
    quoting=csv.QUOTE_NONNUMERIC,
)
