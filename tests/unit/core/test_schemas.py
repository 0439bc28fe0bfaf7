"""A table is written as it is defined or not at all, and read as it was written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core import formats
from pipeline.core.errors import InputError
from pipeline.core.schemas import GRADE, SHARE, Column, Records, Table, estimate, integer_or_number
from pipeline.tables.head_ablation import UNLABELLED_HEADS
from pipeline.tables.prepare import UNLABELLED

TABLE = Table(
    Path("t.csv"),
    "a thing",
    (
        Column("thing", "int64", "its number", range=(0, np.inf)),
        *estimate(Column("share", "float64", "its share", range=SHARE, missing=True)),
        Column(f"count_{GRADE}", "int64", "pairs of the grade"),
        Column(f"mean_{GRADE}", "float64", "mean of the grade"),
        Column("way", "str", "up or down", values=("up", "down"), missing=True),
        Column("told", "bool", "whether it is told"),
        Column("total", "float64", "of all", presence="with rows"),
        Column("null", "float64", "under the null", presence="optional"),
    ),
)
FRAME = pd.DataFrame(
    {
        "thing": [0, 1],
        "share": [0.5, np.nan],
        "share_low": [0.25, np.nan],
        "share_high": [1 + 1e-9, np.nan],
        "count_0": [1, 2],
        "mean_0": [0.5, -1.0],
        "count_1": [3, 4],
        "mean_1": [0.25, 1.0],
        "way": ["up", ""],
        "told": [True, False],
        "total": [1.0, 2.0],
    }
)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("frame", [FRAME, FRAME.assign(null=0.5)], ids=["without the optional", "with it"])
def test_a_table_is_read_as_it_was_written(frame: pd.DataFrame, ending: str):
    columns = [replace(column, missing=False) for column in TABLE.columns]
    table = TABLE if ending == "csv" else Table(Path("t.parquet"), "a thing", tuple(columns))
    frame = frame if ending == "csv" else frame.iloc[:1]
    table.write(frame)
    expected = frame.assign(way=frame["way"].where(frame["way"] != "").astype("str"))
    pd.testing.assert_frame_equal(table.read(), expected)
    table.check(table.read())


def test_a_csv_has_the_bytes_of_write_csv():
    TABLE.write(FRAME)
    formats.write_csv(Path("other.csv"), FRAME)
    assert Path("t.csv").read_bytes() == Path("other.csv").read_bytes()


def test_a_table_without_rows_may_lack_what_rows_would_have():
    empty = FRAME.drop(columns="total").iloc[:0]
    TABLE.write(empty)
    assert TABLE.read().columns.tolist() == empty.columns.tolist()
    TABLE.write(empty.astype(object))  # as pandas makes frames of no rows
    formats.write_csv(Path("t.csv"), FRAME.drop(columns="total"))
    with pytest.raises(InputError, match=r"t\.csv has no column 'total', found thing, .*dvc repro"):
        TABLE.read()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_empty_table_is_read_as_one(ending: str):
    table = replace(TABLE, path=Path(f"t.{ending}"))
    table.write(table.empty())
    columns = ["thing", "share", "share_low", "share_high", "count_0", "mean_0", "way", "told"]
    kinds = ["int64", "float64", "float64", "float64", "int64", "float64", "str", "bool"]
    assert {name: str(kind) for name, kind in table.read().dtypes.items()} == dict(zip(columns, kinds, strict=True))
    pd.testing.assert_frame_equal(table.read(), table.empty(), check_index_type=False)
    table.check(table.read())


@pytest.mark.parametrize("grades", [[0, 2], [0.0, 2.5]])
def test_a_column_of_integers_or_numbers_is_read_as_the_file_holds_it(grades: list[float]):
    table = Table(Path("t.parquet"), "a thing", (integer_or_number("grade", "its grade"),))
    frame = pd.DataFrame({"grade": grades})
    table.write(frame)
    pd.testing.assert_frame_equal(table.read(), frame)
    assert table.empty()["grade"].dtype == "int64"
    with pytest.raises(TypeError, match="column 'grade' holds bool, not int64 or float64"):
        table.write(frame > 0)
    with pytest.raises(ValueError, match="values are in 0 to inf"):
        table.write(-1 - frame)
    formats.write_parquet(Path("t.parquet"), frame.astype("str"))
    with pytest.raises(InputError, match="column 'grade' does not hold int64 or float64 in every row"):
        table.read()


@pytest.mark.parametrize("table", [UNLABELLED, UNLABELLED_HEADS["grader"]], ids=lambda table: table.path.name)
def test_the_tables_of_pairs_without_grades_may_be_empty(table: Table):
    table.write(table.empty())
    pd.testing.assert_frame_equal(table.read(), table.empty(), check_index_type=False)
    assert table.read().columns.tolist() == [column.name for column in table.columns]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (FRAME.drop(columns="share_low"), ValueError),
        (FRAME.drop(columns="total"), ValueError),
        (FRAME.drop(columns="mean_1"), ValueError),
        (FRAME[[*FRAME.columns[1:], "thing"]], ValueError),
        (FRAME.assign(other=1), ValueError),
        (FRAME.assign(thing=[0.0, 1.0]), TypeError),
        (FRAME.assign(told=[1, 0]), TypeError),
        (FRAME.assign(way=[1, 2]), TypeError),
        (FRAME.assign(total=["a", "b"]), TypeError),
        (FRAME.assign(mean_1=[np.nan, 1]), ValueError),
        (FRAME.assign(thing=[0, -1]), ValueError),
        (FRAME.assign(share=[1.1, 0]), ValueError),
        (FRAME.assign(way=["up", "left"]), ValueError),
    ],
)
def test_a_frame_that_is_not_as_defined_is_not_written(frame: pd.DataFrame, error: type[Exception]):
    with pytest.raises(error, match=r"^t\.csv: "):
        TABLE.write(frame)
    assert not Path("t.csv").exists()


def test_an_error_names_table_column_value_and_row():
    with pytest.raises(ValueError, match=r"t\.csv: column 'share' holds .*1\.5.* in row 1; values are in 0 to 1"):
        TABLE.write(FRAME.assign(share=[0, 1.5]))
    with pytest.raises(ValueError, match=r"t\.csv: column 'way' holds 'left' in row 0; values are up down"):
        TABLE.write(FRAME.assign(way=["left", ""]))
    with pytest.raises(ValueError, match=r"t\.csv: column 'mean_0' lacks a value in row 1"):
        TABLE.write(FRAME.assign(mean_0=[0.5, np.nan]))
    with pytest.raises(TypeError, match=r"t\.csv: column 'thing' holds float64, not int64"):
        TABLE.write(FRAME.assign(thing=0.5))


def test_further_columns_are_texts_and_only_where_the_table_says_so():
    table = replace(TABLE, extra="what the user's table has")
    table.write(FRAME.assign(topic="a", year=""))
    with pytest.raises(TypeError, match="column 'year' holds int64, not str"):
        table.write(FRAME.assign(topic="a", year=2004))


def test_records_have_the_defined_keys():
    records = Records(Path("a.json"), "a pair", {"query": "its text", "grade": "its grade"})
    records.write([{"query": "q", "grade": 1}])
    assert records.read() == [{"query": "q", "grade": 1}]
    with pytest.raises(ValueError, match=r"a\.json: a record has the keys \['query'\], not \['query', 'grade'\]"):
        records.write([{"query": "q"}])
