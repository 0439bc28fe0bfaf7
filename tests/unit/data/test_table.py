"""The table reader: what is written comes back, and what is wrong is named with file, line and fix."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.core.config import Columns
from pipeline.core.errors import InputError
from pipeline.data.deduplication import rejected_rows, rejection_reasons
from pipeline.data.splits import check_given_splits
from pipeline.data.table import read_table
from pipeline.tables import prepare

COLUMNS = Columns(query="query", title="title", grade="grade", split=None)
WITH_SPLIT = Columns(query="query", title="title", grade="grade", split="split")
GRADES = ["bad", "fair", "good"]

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
one_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n"), max_size=20)


def tables(texts):
    return st.lists(st.tuples(texts, texts, st.sampled_from(GRADES)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def rows_of(frame):
    return list(zip(frame["query"], frame["title"], [GRADES[place] for place in frame["grade"]], strict=True))


@given(rows=tables(any_text), end=st.sampled_from(["\n", "\r\n"]), bom=st.booleans())
@settings(max_examples=60, deadline=None)
def test_csv_roundtrip_with_the_line_each_record_starts_on(folder, rows, end, bom):
    path = folder / "roundtrip.csv"
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerows([("query", "title", "grade"), *rows])
    frame = read_table(path, COLUMNS, [], GRADES)
    assert rows_of(frame) == rows
    line_ends = [1 + sum(len(re.findall("\r\n|\r|\n", field)) for field in row) for row in rows]
    assert frame.index.tolist() == (2 + np.cumsum([0, *line_ends[:-1]])).tolist()
    assert frame.index.name == "line"


@given(rows=tables(one_line), end=st.sampled_from(["\n", "\r\n"]), bom=st.booleans())
@settings(max_examples=60, deadline=None)
def test_tsv_roundtrip_keeps_quotation_marks(folder, rows, end, bom):
    text = "".join("\t".join(row) + end for row in [("query", "title", "grade"), *rows])
    quoting = [field for row in rows for field in row if '"' in field]
    assume(not quoting or any(len(field) < 2 or field[0] != '"' or field[-1] != '"' for field in quoting))
    path = write(folder, "roundtrip.tsv", ("\ufeff" if bom else "") + text)
    frame = read_table(path, COLUMNS, [], GRADES)
    assert rows_of(frame) == rows
    assert frame.index.tolist() == list(range(2, len(rows) + 2))


@given(rows=tables(any_text), escaped=st.booleans(), blank_lines=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_jsonl_roundtrip(folder, rows, escaped, blank_lines):
    lines = [json.dumps(dict(zip(COLUMNS.model_dump(), row, strict=False)), ensure_ascii=escaped) for row in rows]
    path = write(folder, "roundtrip.jsonl", "\n" * blank_lines + "\n".join(lines))
    frame = read_table(path, COLUMNS, [], GRADES)
    assert rows_of(frame) == rows
    assert frame.index.tolist() == list(range(blank_lines + 1, blank_lines + len(rows) + 1))


@given(rows=tables(any_text))
@settings(max_examples=40, deadline=None)
def test_parquet_roundtrip(folder, rows):
    path = folder / "roundtrip.parquet"
    pd.DataFrame(rows, columns=["query", "title", "grade"]).to_parquet(path)
    frame = read_table(path, COLUMNS, [], GRADES)
    assert rows_of(frame) == rows
    assert frame.index.tolist() == list(range(1, len(rows) + 1))
    assert frame.index.name == "row"


def test_own_column_names_split_and_slices(tmp_path):
    path = write(tmp_path, "t.csv", "year,suche,Titel der Seite,note,teil,k\n2001,a,b,good,dev,x\n,c,d,bad,test,\n")
    columns = Columns(query="suche", title="Titel der Seite", grade="note", split="teil")
    frame = read_table(path, columns, ["k", "year"], GRADES)
    assert frame.columns.tolist() == ["query", "title", "grade", "split", "k", "year"]
    assert frame.to_numpy().tolist() == [["a", "b", 2, "dev", "x", "2001"], ["c", "d", 0, "test", "", ""]]
    assert [str(kind) for kind in frame.dtypes] == ["str", "str", "int64", "str", "str", "str"]


@pytest.mark.parametrize("values", [[1, 3], [1.0, 3.0], ["1", "3"], [" 1", "3 "]])
def test_numbers_as_grades(tmp_path, values):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"query": "q", "title": ["a", "b"], "grade": values}).to_parquet(path)
    assert read_table(path, COLUMNS, [], ["1", "2", "3"])["grade"].tolist() == [0, 2]
    lines = [json.dumps({"query": "q", "title": "a", "grade": value}) for value in values]
    path = write(tmp_path, "t.jsonl", "\n".join(lines))
    assert read_table(path, COLUMNS, [], ["1", "2", "3"])["grade"].tolist() == [0, 2]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_grades_of_a_column_with_gaps_are_written_with_a_decimal_point(tmp_path, ending):
    frame = pd.DataFrame({"query": "q", "title": ["a", "b", "c"], "grade": [1.0, None, 3.0]}).dropna()
    path = tmp_path / f"t.{ending}"
    frame.to_csv(path, sep="," if ending == "csv" else "\t", index=False)
    assert "3.0" in path.read_text()
    assert read_table(path, COLUMNS, [], ["1", "2", "3"])["grade"].tolist() == [0, 2]


def test_names_of_one_number_are_told_apart_as_written(tmp_path):
    path = write(tmp_path, "t.csv", "query,title,grade\nq,a,1.0\nq,b,1\n")
    assert read_table(path, COLUMNS, [], ["1", "1.0", "2"])["grade"].tolist() == [1, 0]
    path = write(tmp_path, "t.csv", "query,title,grade\nq,a,1.00\n")
    with pytest.raises(InputError, match=r"'1\.00' is none of"):
        read_table(path, COLUMNS, [], ["1", "1.0", "2"])


INCHES = pd.DataFrame({"query": "monitor", "title": ['19" monitor', "stand", 'arm, "strong"'], "grade": GRADES})


def test_a_tsv_that_pandas_wrote_is_not_taken_for_one_without_quoting(tmp_path):
    path = tmp_path / "t.tsv"
    INCHES.to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=r"line 2: .*looks quoted.*save the table as \.csv, or .*quoting=3"):
        read_table(path, COLUMNS, [], GRADES)
    INCHES.to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_NONE)
    assert read_table(path, COLUMNS, [], GRADES)["title"].tolist() == INCHES["title"].tolist()
    INCHES.to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv", COLUMNS, [], GRADES)["title"].tolist() == INCHES["title"].tolist()


@pytest.mark.parametrize("inside", ["\t", "\n"])
def test_a_tab_or_a_line_end_in_quotes_is_explained(tmp_path, inside):
    path = tmp_path / "t.tsv"
    INCHES.assign(title=f"two{inside}parts").to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=r"line 2: .* fields .*a tab or a line end: save the table as \.csv"):
        read_table(path, COLUMNS, [], GRADES)


def test_a_tsv_with_everything_in_quotes(tmp_path):
    path = tmp_path / "t.tsv"
    INCHES.to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_ALL)
    with pytest.raises(InputError, match=r"line 1: .*looks quoted"):
        read_table(path, COLUMNS, [], GRADES)


def test_a_log_of_phrases_in_quotes_is_read_as_it_is(tmp_path):
    path = write(tmp_path, "t.tsv", 'query\ttitle\tgrade\n"red shoe"\t19" wheel\tgood\n"a ""b"" c"\tx\tbad\n')
    assert read_table(path, COLUMNS, [], GRADES)["query"].tolist() == ['"red shoe"', '"a ""b"" c"']


@pytest.mark.parametrize(("separator", "said"), [(";", "semicolons"), ("|", "bars"), ("\t", "tabs")])
def test_another_separator_is_named(tmp_path, separator, said):
    path = tmp_path / "t.csv"
    INCHES.to_csv(path, sep=separator, index=False)
    with pytest.raises(InputError, match=f"no column 'query'.*its fields are separated by {said}"):
        read_table(path, COLUMNS, [], GRADES)


def test_quotes_that_spark_escapes_with_a_backslash(tmp_path):
    path = write(tmp_path, "t.csv", 'query,title,grade\nq,"19\\" monitor, black",good\n')
    with pytest.raises(InputError, match=r'line 2: .*option\("escape"'):
        read_table(path, COLUMNS, [], GRADES)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_parts_of_a_table_that_spark_wrote(tmp_path, ending):
    folder = tmp_path / f"pairs.{ending}"
    folder.mkdir()
    for number, part in enumerate((INCHES.iloc[:2], INCHES.iloc[2:])):
        path = folder / f"part-0000{number}-1f.snappy.{ending}"
        part.to_csv(path, index=False) if ending == "csv" else part.to_parquet(path)
        (folder / f".{path.name}.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()
    frame = read_table(folder, COLUMNS, [], GRADES)
    assert rows_of(frame) == list(INCHES.itertuples(index=False, name=None))
    assert frame.index.tolist() == ([2, 3, 2] if ending == "csv" else [1, 2, 1])


@pytest.mark.parametrize(
    ("inside", "said"), [("split=train", "partitionBy"), ("part-0.csv.gz", "unpack"), (None, "no file")]
)
def test_folders_that_are_no_parts_of_a_table(tmp_path, inside, said):
    folder = tmp_path / "pairs.csv"
    folder.mkdir()
    if inside:
        (folder / inside).mkdir()
    with pytest.raises(InputError, match=said):
        read_table(folder, COLUMNS, [], GRADES)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_stand_ins_for_a_table(tmp_path, ending):
    path = write(tmp_path, f"t.{ending}", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match=r"is a Git LFS pointer.*git lfs pull"):
        read_table(path, COLUMNS, [], GRADES)
    path = write(tmp_path, f"t.{ending}", "<!DOCTYPE html>\n<html>")
    with pytest.raises(InputError, match="is a web page"):
        read_table(path, COLUMNS, [], GRADES)


def test_grade_labels_written_with_a_decimal_point(tmp_path):
    path = write(tmp_path, "t.jsonl", '{"query": "q", "title": "t", "grade": 1.0}\n')
    assert read_table(path, COLUMNS, [], ["0.0", "0.5", "1.0"])["grade"].tolist() == [2]


def test_numbers_and_nulls_as_texts(tmp_path):
    path = write(tmp_path, "t.jsonl", '{"query": 1984, "title": null, "grade": "bad"}\n')
    assert rows_of(read_table(path, COLUMNS, [], GRADES)) == [("1984", "", "bad")]


def test_words_that_look_like_missing_values_are_text(tmp_path):
    path = write(tmp_path, "t.tsv", 'query\ttitle\tgrade\nNA\tnull "1"\tgood\n')
    assert rows_of(read_table(path, COLUMNS, [], GRADES)) == [("NA", 'null "1"', "good")]


def test_a_title_longer_than_the_csv_module_likes(tmp_path):
    path = write(tmp_path, "t.csv", f"query,title,grade\nq,{'x' * 200_000},good\n")
    assert len(read_table(path, COLUMNS, [], GRADES)["title"].iloc[0]) == 200_000


HEADER = "query,title,grade\n"
WRONG = {
    "missing column": ("t.csv", "query,name,grade\na,b,bad\n", ["line 1", "'title'", "'name'"]),
    "missing in a later object": ("t.jsonl", '{"query":"a","title":"b","grade":"bad"}\n{"query":"a"}', ["line 2"]),
    "two columns of the name": ("t.csv", "query,title,title,grade\na,b,c,bad\n", ["2 columns", "'title'"]),
    "empty file": ("t.csv", "", ["'query'"]),
    "only a header": ("t.csv", HEADER, ["no records"]),
    "unknown grade": ("t.csv", HEADER + "a,b,bad\n\nc,d,great\n", ["line 4", "'great'", "'bad', 'fair', 'good'"]),
    "missing grade": ("t.csv", HEADER + "a,b,bad\nc,d, \n", ["line 3", "grade is missing"]),
    "NaN grade": ("t.jsonl", '{"query":"a","title":"b","grade":NaN}', ["line 1", "grade is missing"]),
    "null grade": ("t.jsonl", '{"query":"a","title":"b","grade":null}', ["line 1", "grade is missing"]),
    "a field too many": ("t.tsv", "query\ttitle\tgrade\na\tb\tc\tbad\n", ["line 2", "4 fields", "3"]),
    "a field too few": ("t.csv", HEADER + '"a\nb",c,bad\nd,bad\n', ["line 4", "2 fields"]),
    "open quote": ("t.csv", HEADER + 'a,b,bad\n"c,d,bad\ne,f,bad\n', ["line 3", "quotes"]),
    "text behind a quote": ("t.csv", HEADER + 'a,"b"c,bad\n', ["line 2", "quotes"]),
    "Latin-1": ("t.csv", (HEADER + "a,b,bad\ncaf\u00e9,b,bad\n").encode("latin-1"), ["line 3", "byte 4", "0xe9"]),
    "UTF-16": ("t.tsv", HEADER.encode("utf-16"), ["line 1", "byte 1", "UTF-8"]),
    "broken JSON": ("t.jsonl", '{"query":"a","title":"b","grade":"bad"}\n\n{"query":', ["line 3", "not JSON"]),
    "deep JSON": ("t.jsonl", "[" * 200_000, ["line 1", "not JSON"]),
    "JSON list": ("t.jsonl", '["a", "b", "bad"]', ["line 1", "not a JSON object"]),
    "half a surrogate pair": ("t.jsonl", r'{"query":"\ud83d","title":"b","grade":"bad"}', ["line 1", "surrogate"]),
    "list as text": ("t.jsonl", '{"query":["a"],"title":"b","grade":"bad"}', ["line 1", "['a']"]),
    "no parquet": ("t.parquet", "query", ["not a readable parquet"]),
}


@pytest.mark.parametrize(("name", "text", "said"), WRONG.values(), ids=WRONG)
def test_error_names_file_place_and_value(tmp_path, name, text, said):
    path = write(tmp_path, name, text)
    with pytest.raises(InputError) as raised:
        read_table(path, COLUMNS, [], GRADES)
    for words in [str(path), *said]:
        assert words in str(raised.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv is missing"):
        read_table(tmp_path / "none.csv", COLUMNS, [], GRADES)


def test_missing_split_and_slice_columns_list_what_is_there(tmp_path):
    path = write(tmp_path, "t.csv", HEADER + "a,b,bad\n")
    with pytest.raises(InputError, match=r"no column 'split'; found .*'query', 'title', 'grade'"):
        read_table(path, WITH_SPLIT, [], GRADES)
    with pytest.raises(InputError, match="no column 'year'"):
        read_table(path, COLUMNS, ["year"], GRADES)


@pytest.mark.parametrize("slices", [["grade"], ["query_id"], ["k", "k"]])
def test_slices_that_clash(tmp_path, slices):
    path = write(tmp_path, "t.csv", "query,title,grade,k,query_id\na,b,bad,1,1\n")
    with pytest.raises(InputError, match=r"data\.slices"):
        read_table(path, COLUMNS, slices, GRADES)


def test_truncated_parquet_and_a_missing_grade_in_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"query": "q", "title": [f"t{i}" for i in range(999)], "grade": ["good"] * 998 + [None]})
    frame.to_parquet(path)
    with pytest.raises(InputError, match="row 999: the grade is missing"):
        read_table(path, COLUMNS, [], GRADES)
    content = path.read_bytes()
    path.write_bytes(content[:200] + b"\0" * 200 + content[400:])
    with pytest.raises(InputError):
        read_table(path, COLUMNS, [], GRADES)
    path.write_bytes(content[:-50])
    with pytest.raises(InputError, match="not a readable parquet"):
        read_table(path, COLUMNS, [], GRADES)


def test_parquet_text_that_is_not_utf8(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    broken = pa.array([b"fine", b"\xff\xfe"]).view(pa.string())
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"query": broken, "title": ["a", "b"], "grade": ["bad", "bad"]}), path)
    with pytest.raises(InputError, match="row 2: text is not UTF-8"):
        read_table(path, COLUMNS, [], GRADES)
    path.write_bytes(path.read_bytes().replace(b"grade", b"gra\xe2:"))
    with pytest.raises(InputError, match="not a readable parquet file: 'utf-8' codec can't decode byte 0xe2"):
        read_table(path, COLUMNS, [], GRADES)


@given(content=st.binary(max_size=200), ending=st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_pairs_or_one_clear_error(folder, content, ending):
    header = {".csv": b"query,title,grade\n", ".tsv": b"query\ttitle\tgrade\n"}.get(ending, b"")
    path = write(folder, f"any{ending}", header + content)
    try:
        frame = read_table(path, COLUMNS, [], GRADES)
    except InputError:
        return
    assert frame["grade"].between(0, 2).all()


def written_in_parts(folder, part_of):
    """Two parts of three pairs, the last of which is one of the first part again."""
    folder.mkdir(parents=True)
    rows = [("red", "hat", "good"), ("red", "shoe", "bad"), ("red", "hat", "good")]
    for number in (0, 1):
        lines = [",".join(row) for part, row in zip(part_of, rows, strict=True) if part == number]
        write(folder, f"part-{number}.csv", "\n".join(["query,title,grade", *lines, ""]))


def test_a_pair_of_a_folder_is_found_by_its_part_and_line(tmp_path):
    folder = tmp_path / "pairs.csv"
    written_in_parts(folder, (0, 0, 1))
    pairs = read_table(folder, COLUMNS, [], GRADES)
    rejected = rejected_rows(pairs, rejection_reasons(pairs), GRADES.__getitem__)
    assert list(rejected.columns)[:3] == ["part_file", "line", "reason"]
    assert rejected.iloc[:, :3].to_numpy().tolist() == [["part-1.csv", 2, "duplicate"]]
    prepare.REJECTED.check(rejected)
    with pytest.raises(InputError, match=r"pairs, line 2 of part-1.csv: split 'x' is none of"):
        check_given_splits(pairs.assign(split=["train", "train", "x"]), "pairs", "")
    with pytest.raises(InputError, match=r"in train \(line 2 of part-0.csv\) and in dev \(line 2 of part-1.csv\)"):
        check_given_splits(pairs.assign(split=["train", "train", "dev"]), "pairs", "")


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("_delta_log", "is a Delta table.*which of the files count.*write it as plain files"),
        (".hoodie", "is a Hudi table"),
        ("_temporary", "is not finished.*write it again"),
    ],
)
def test_folders_of_which_not_every_file_counts(tmp_path, inside, said):
    folder = tmp_path / "pairs.csv"
    written_in_parts(folder, (0, 0, 1))
    (folder / inside).mkdir()
    with pytest.raises(InputError, match=said):
        read_table(folder, COLUMNS, [], GRADES)


def packed_as(kind):
    text, file = b"query,title,grade\nq,t,good\n", io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("t.csv", text)
    elif kind == "parquet":
        INCHES.to_parquet(file)
    else:
        return {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}[kind](text)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("gzip", "is a gzip archive; unpack it"),
        ("bzip2", "is a bzip2 archive"),
        ("xz", "is an xz archive"),
        ("zip", "is a zip archive, which an Excel workbook is too; unpack it, or save the sheet as CSV"),
        ("parquet", "is a Parquet file; give its name the ending .parquet"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_what_is_packed_under_the_name_of_a_text_is_named(tmp_path, kind, said, ending):
    path = tmp_path / f"t.{ending}"
    path.write_bytes(packed_as(kind))
    with pytest.raises(InputError, match=said):
        read_table(path, COLUMNS, [], GRADES)
