"""Hostile tables through the prepare stage: texts arrive unchanged, or one message names file and line."""

import csv
import io
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.core import paths
from pipeline.data import splits
from tests.support.shell import REPOSITORY, limited_command

TEXTS = {
    "markup": "<b onclick=\"alert('x')\">&amp;</b>",
    "script": "</script><script>alert(1)</script>",
    "control": "bell\x07 escape\x1b[31m delete\x7f unit\x1f",
    "directions": "\u202eright to left\u202c \u2067isolated\u2069 \u200fmark",
    "zero width": "a\u200bb\u200dc\u2060d",
    "byte order mark inside": "a\ufeffb",
    "formula": '=HYPERLINK("http://x";"y")',
    "long": "长" * 50_000 + "x" * 50_000,
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪",
    "combining": "e\u0301\u0323" + "a" + "\u0300" * 50,
    "NUL": "a\0b",
    "template": "{{ 7 * 7 }} ${x} %s $\\frac{1}{2}$ $",
    "not a missing value": "NaN",
    "noncharacter": "\uffff \U0010ffff",
    "next line": "a\x85b\u2028c\u2029d",
    "spaces around": "\u3000 a \xa0",
}
BREAKS = {"CRLF": "a\r\nb", "lone CR": "a\rb", "line feed": "a\n\nb", "tab": "a\tb", "quotes": '"a""b"'}
HEADER = ("query", "title", "grade", "part")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(splits, "LEAST_QUERIES", 1)  # a text is looked at, not an interval
    paths.RAW.mkdir(parents=True)


def configure(name: str, columns: tuple[str, ...] = HEADER, grades: tuple[str, ...] = ("bad", "good")) -> Path:
    """Params that name data/raw/NAME with its splits in the fourth column; returns the table's path."""
    values = yaml.safe_load((REPOSITORY / paths.PARAMS).read_text(encoding="utf-8"))
    source = paths.RAW / name
    names = dict(zip(("query", "title", "grade", "split"), columns, strict=True))
    values["data"] |= {"source": str(source), "columns": names, "grades": list(grades)}
    paths.PARAMS.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    return source


def rows(texts: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """The texts as titles of training pairs, and a pair each for dev and test."""
    hostile = [("one", text, "bad" if place % 2 else "good", "train") for place, text in enumerate(texts.values())]
    return [*hostile, ("two", "t", "bad", "train"), ("three", "t", "good", "dev"), ("four", "t", "bad", "test")]


def content(ending: str, texts: dict[str, str], header: tuple[str, ...] = HEADER) -> bytes:
    table = [header, *rows(texts)]
    if ending == "parquet":
        packed = io.BytesIO()
        pd.DataFrame(table[1:], columns=list(header)).to_parquet(packed)
        return packed.getvalue()
    if ending == "jsonl":
        return "".join(
            json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) + "\n" for row in table[1:]
        ).encode()
    if ending == "tsv":
        return "".join("\t".join(row) + "\n" for row in table).encode()
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(table)
    return text.getvalue().encode()


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_texts_arrive_unchanged(ending: str, monkeypatch: pytest.MonkeyPatch):
    texts = TEXTS | (BREAKS if ending != "tsv" else {"quotes": BREAKS["quotes"]})
    configure(f"own.{ending}").write_bytes(content(ending, texts))
    assert limited_command(monkeypatch, "prepare") == 0
    arrived = pd.read_parquet(paths.TRAIN)["title"].tolist()
    assert dict(zip(texts, arrived, strict=False)) == texts
    assert len(arrived) == len(texts) + 1


@pytest.mark.parametrize("text", [text for name, text in (TEXTS | BREAKS).items() if name != "long"])
def test_rejected_pairs_can_be_looked_up_whatever_their_texts(text: str, monkeypatch: pytest.MonkeyPatch):
    """The second of two equal pairs is set aside; a formula's apostrophe is the only thing added to it."""
    configure("own.jsonl").write_bytes(content("jsonl", {"a": text, "b": "between", "c": text}))
    assert limited_command(monkeypatch, "prepare") == 0
    with paths.REJECTED.open(encoding="utf-8", newline="") as file:
        header, row, *others = csv.reader(file)
    assert header == ["line", "reason", "query", "title", "grade"]
    assert row == ["3", "duplicate", "one", f"'{text}" if text.startswith("=") else text, "good"]
    assert others == []


@pytest.mark.parametrize(
    "name", ["the query", 'a "b"', "名 前", "two\nlines", "=formula", " ", "a,b", "\u202eq", "a'b"]
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_any_column_name(ending: str, name: str, monkeypatch: pytest.MonkeyPatch):
    header = (name, *HEADER[1:])
    configure(f"own.{ending}", header).write_bytes(content(ending, {"a": "b"}, header))
    assert limited_command(monkeypatch, "prepare") == 0
    assert pd.read_parquet(paths.TRAIN)["query"].tolist() == ["one", "two"]


def csv_with(line: str) -> bytes:
    """A fine table of six lines but for the fourth."""
    lines = [
        "query,title,grade,part",
        "one,a,bad,train",
        "one,b,good,train",
        line,
        "three,t,bad,dev",
        "four,t,bad,test",
    ]
    return "".join(f"{one}\n" for one in lines).encode()


FINE = csv_with("two,t,bad,train")


def test_the_table_that_the_wrong_ones_are_made_of_is_fine(monkeypatch: pytest.MonkeyPatch):
    configure("own.csv").write_bytes(FINE)
    assert limited_command(monkeypatch, "prepare") == 0


@pytest.mark.parametrize("change", [lambda table: b"\xef\xbb\xbf" + table, lambda table: table.replace(b"\n", b"\r\n")])
def test_a_byte_order_mark_or_windows_line_ends_change_nothing(change, monkeypatch: pytest.MonkeyPatch):
    configure("own.csv").write_bytes(change(FINE))
    assert limited_command(monkeypatch, "prepare") == 0
    assert pd.read_parquet(paths.TRAIN)["title"].tolist() == ["a", "b", "t"]


WRONG = {
    "grade nan": ("own.csv", csv_with("two,t,nan,train"), ["line 4", "grade 'nan' is none of"]),
    "grade inf": ("own.csv", csv_with("two,t,inf,train"), ["line 4", "grade 'inf' is none of"]),
    "grade empty": ("own.csv", csv_with("two,t,,train"), ["line 4", "the grade is missing"]),
    "grade of control characters": ("own.csv", csv_with("two,t,\x1b[31m\x07,train"), ["line 4", r"'\x1b[31m\x07'"]),
    "JSON grade NaN": ("own.jsonl", b'{"query":"a","title":"b","grade":NaN,"part":"dev"}', ["line 1", "missing"]),
    "JSON grade inf": ("own.jsonl", b'{"query":"a","title":"b","grade":Infinity,"part":"dev"}', ["line 1", "'inf'"]),
    "JSON grade true": ("own.jsonl", b'{"query":"a","title":"b","grade":true,"part":"dev"}', ["line 1", "'True'"]),
    "JSON grade of 5000 digits": (
        "own.jsonl",
        b'{"query":"a","title":"b","grade":' + b"9" * 5000 + b',"part":"dev"}',
        ["line 1", "not JSON"],
    ),
    "JSON grade 1e999": ("own.jsonl", b'{"query":"a","title":"b","grade":1e999,"part":"dev"}', ["line 1", "'inf'"]),
    "lone surrogate": (
        "own.jsonl",
        rb'{"query":"a","title":"\udc80","grade":"bad","part":"dev"}',
        ["line 1", r"\udc80"],
    ),
    "ragged": ("own.csv", csv_with("two,t,bad,train,more"), ["line 4", "5 fields where the header has 4"]),
    "ragged by a lone CR": ("own.csv", csv_with("two,t,bad\rtrain"), ["line 4", "3 fields"]),
    "columns twice": ("own.csv", FINE.replace(b"title", b"query", 1), ["line 1", "2 columns are called 'query'"]),
    "empty": ("own.csv", b"", ["line 1", "no column 'query'"]),
    "blank": ("own.csv", b"\n\n\n", ["no column 'query'"]),
    "only a mark": ("own.csv", b"\xef\xbb\xbf", ["no column 'query'"]),
    "only a header": ("own.csv", FINE.splitlines()[0], ["holds no records"]),
    "UTF-16": ("own.csv", FINE.decode().encode("utf-16"), ["line 1, byte 1", "not UTF-8"]),
    "UTF-32": ("own.jsonl", b"\xff\xfe\0\0{\0\0\0", ["line 1, byte 1", "not UTF-8"]),
    "zip": ("own.parquet", b"PK\x03\x04" + b"\0" * 50, ["not a readable parquet file"]),
    "empty parquet": ("own.parquet", b"", ["not a readable parquet file"]),
    "open quote": ("own.csv", csv_with('two,"t,bad,train'), ["line 4", "quotes"]),
}


@pytest.mark.parametrize(("name", "table", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_its_line(
    name: str, table: bytes, said: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    configure(name).write_bytes(table)
    assert limited_command(monkeypatch, "prepare") == 2
    message = capsys.readouterr().err
    assert message.startswith(f"prepare: data/raw/{name}")
    assert message.count("\n") == 1
    for words in said:
        assert words in message
    assert not paths.PREPARED.exists()


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "broken link", "missing"])
def test_what_is_no_file(kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    path = configure("own.csv")
    {
        "folder": lambda: path.mkdir(),
        "pipe": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to(path.name),
        "broken link": lambda: path.symlink_to("nowhere"),
        "missing": lambda: None,
    }[kind]()
    assert limited_command(monkeypatch, "prepare") == 2
    said = "is missing" if kind == "missing" else "is no file"
    assert f"prepare: data/raw/own.csv {said}; put the table there" in capsys.readouterr().err
