"""What is written is read back the same, nothing half-written stays, and what is damaged is named with its fix."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ablation.sweep_cache import SweepCache
from pipeline.core import atomic, formats, paths, schemas
from pipeline.core.errors import InputError
from pipeline.tables.dependency import MEDIATION
from pipeline.tables.grading import CURVE
from pipeline.tables.head_ablation import UNLABELLED_HEADS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tables.pruning import CHANGED_PAIRS
from tests.support.shell import REPOSITORY
from tests.table_dictionary import OF_RANKERS, TABLES

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
PAIRS = pd.DataFrame({"query_id": [0, 1], "query": ["q", "北京"], "title": ["t", "é"], "grade": [0, 1]})
KILLED = """
import os, signal
from pathlib import Path
from pipeline.core.atomic import replace_atomically
with replace_atomically(Path("out/result.csv")) as temporary:
    temporary.write_text("half")
    with replace_atomically(Path("out/figures")) as folder:
        folder.mkdir()
        (folder / "one.png").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
"""

any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
EXECUTED = (*"=+-@＝＋－＠",)
risky_text = st.text(st.sampled_from("=+-@＝＠'\" \t\r\n;,1.e5a"), max_size=6)


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def write_folder(path: Path) -> None:
    with atomic.replace_atomically(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")


def left() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file() or path.is_symlink()}


def test_temporaries_of_a_killed_process_go_with_the_next_write():
    Path("out").mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(list(Path("out").iterdir())) == 2
    formats.write_text(Path("out/result.csv"), "whole")
    write_folder(Path("out/figures"))
    assert left() == {"out/result.csv", "out/figures/new"}


def test_temporaries_of_this_number_and_no_other_living_process_s_go():
    """In a container every first process has the same number; another's file may still be written to."""
    Path("out").mkdir()
    theirs = [f".result.csv.{os.getppid()}.tmp", ".other.csv.999999999.tmp", ".result.csv.tmp"]
    for name in [f".result.csv.{os.getpid()}.tmp", ".result.csv.999999999.tmp", *theirs]:
        (Path("out") / name).write_text("half")
    formats.write_text(Path("out/result.csv"), "whole")
    assert left() == {"out/result.csv", *(f"out/{name}" for name in theirs)}


def test_an_error_of_the_writer_itself_leaves_the_old_file_and_no_other():
    formats.write_text(Path("a.txt"), "old")
    with pytest.raises(TypeError, match="serializable"):
        formats.write_json(Path("a.txt"), {1, 2})
    with pytest.raises(ZeroDivisionError), atomic.replace_atomically(Path("a.txt")) as temporary:
        temporary.write_text(f"{1 / 0}")
    assert left() == {"a.txt"}
    assert Path("a.txt").read_text() == "old"


def test_a_file_where_a_folder_belongs():
    Path("data").write_text("mine")
    with pytest.raises(InputError, match=r"data/prepared/x.txt cannot be written: data is not a folder: .*; fix that"):
        formats.write_text(Path("data/prepared/x.txt"), "text")
    with pytest.raises(InputError, match=r"data/x.txt cannot be written: data is not a folder: File exists; fix that"):
        formats.write_text(Path("data/x.txt"), "text")
    with (
        pytest.raises(InputError, match=r"data cannot be written: Not a directory; fix that"),
        atomic.replace_atomically(Path("data")) as temporary,
    ):
        temporary.mkdir()
    assert left() == {"data"}
    assert Path("data").read_text() == "mine"


def test_a_folder_where_a_file_belongs_is_not_deleted():
    Path("a.txt").mkdir()
    Path("a.txt/mine").write_text("mine")
    with pytest.raises(InputError, match=r"a.txt cannot be written: Is a directory; fix that and try again"):
        formats.write_text(Path("a.txt"), "text")
    assert left() == {"a.txt/mine"}


def test_a_link_to_a_folder_is_replaced_and_its_target_kept():
    Path("cache").mkdir()
    Path("cache/kept").write_text("kept")
    Path("model").symlink_to("cache")
    write_folder(Path("model"))
    assert left() == {"cache/kept", "model/new"}


@given(texts=st.lists(any_text | risky_text, min_size=1, max_size=8), name=risky_text)
@settings(max_examples=60, deadline=None)
def test_texts_come_back_from_csv_as_they_were_and_none_is_a_formula(folder: Path, texts: list[str], name: str):
    path = folder / "texts.csv"
    formats.write_csv(path, pd.DataFrame({"number": -1.5, "text": texts, f"{name} column": 1}))
    frame = formats.read_csv(path, {"number": "float64", "text": "str"})
    assert frame.columns.tolist() == ["number", "text", f"{name} column"]
    assert frame["text"].fillna("").tolist() == texts
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.lstrip(' "')[:1] in EXECUTED and not is_number(cell)]
    assert not [cell for cell in cells if cell[:1] in ("\t", "\r", "\n")]


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("'=1", "''=1"),
        ("＝1", "'＝1"),
        ("-1.5e3", "-1.5e3"),
        ("+7", "+7"),
        ("plain = text", "plain = text"),
        ("'quoted'", "'quoted'"),
    ],
)
def test_a_formula_gets_an_apostrophe_and_a_number_none(text: str, written: str):
    formats.write_csv(Path("t.csv"), pd.DataFrame({text: [text], "b": "x"}))
    with Path("t.csv").open(encoding="utf-8", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == [written, written]


def test_a_cell_that_begins_with_a_quoted_formula_is_a_text():
    formats.write_csv(Path("t.csv"), pd.DataFrame({"a": ['"=1+1"']}))
    assert Path("t.csv").read_text() == 'a\n"\'""=1+1"""\n'


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    if how == "missing":
        path.unlink()
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "cut short":
        path.write_bytes(content[:-7])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(content[: middle - 20] + b"\xff\0" * 20 + content[middle + 20 :])


@pytest.mark.parametrize("how", ["missing", "folder", "cut short", "empty", "overwritten"])
@pytest.mark.parametrize("ending", ["csv", "parquet", "json", "safetensors"])
def test_what_cannot_be_read_is_named_with_the_fix(ending: str, how: str):
    path = Path(f"results.{ending}")
    texts = {"a": [f"text {number}" for number in range(200)], "b": np.arange(200)}
    {
        "csv": lambda: formats.write_csv(path, pd.DataFrame(texts)),
        "parquet": lambda: formats.write_parquet(path, pd.DataFrame(texts)),
        "json": lambda: formats.write_json(path, texts["a"]),
        "safetensors": lambda: formats.write_safetensors(path, {f"a{number}": np.zeros(3) for number in range(20)}),
    }[ending]()
    read = {
        "csv": lambda: formats.read_csv(path, {"a": "str", "b": "int64"}),
        "parquet": lambda: formats.read_parquet(path, {"a": "str", "b": "int64"}),
        "json": lambda: formats.read_json(path),
        "safetensors": lambda: formats.read_safetensors(path),
    }[ending]
    read()
    damaged(path, how)
    with pytest.raises(InputError) as raised:
        read()
    said = {"missing": "is missing", "folder": "is no file"}.get(how, "")
    assert str(raised.value).startswith(f"results.{ending} ")
    assert said in str(raised.value)
    assert "run `dvc repro`" in str(raised.value)


def test_one_changed_byte_of_a_parquet_column_is_noticed():
    """Without checksums most such changes read as other texts."""
    texts = ["".join(row) for row in np.random.default_rng(0).choice(list("abcdefghijklmnop"), (50, 30))]
    formats.write_parquet(Path("t.parquet"), pd.DataFrame({"a": texts}))
    content = bytearray(Path("t.parquet").read_bytes())
    content[content.index(texts[30][10:20].encode())] ^= 1
    Path("t.parquet").write_bytes(content)
    changed = pd.read_parquet("t.parquet")["a"].tolist()
    assert [number for number in range(50) if changed[number] != texts[number]] == [30]
    with pytest.raises(InputError, match=r"t\.parquet cannot be read"):
        formats.read_parquet(Path("t.parquet"), {"a": "str"})


@pytest.mark.parametrize("column", PAIRS.columns)
def test_a_split_without_one_of_its_columns_or_with_a_gap(column: str):
    formats.write_parquet(paths.DEV, PAIRS)
    assert SPLIT_TABLES[paths.DEV].read().equals(PAIRS)
    formats.write_parquet(paths.DEV, PAIRS.drop(columns=column))
    with pytest.raises(InputError, match=rf"dev\.parquet has no column '{column}', found .*dvc repro"):
        SPLIT_TABLES[paths.DEV].read()
    formats.write_parquet(paths.DEV, PAIRS.assign(**{column: PAIRS[column].where(PAIRS["grade"] == 0)}))
    with pytest.raises(InputError, match=rf"dev\.parquet: column '{column}' does not hold .*dvc repro"):
        SPLIT_TABLES[paths.DEV].read()


def test_a_table_without_a_column_or_with_a_text_for_a_number():
    formats.write_csv(paths.CURVE, pd.DataFrame({"epoch": [1], "dev_qwk": [0.5]}))
    with pytest.raises(InputError, match=r"curve\.csv has no column 'train_loss', found epoch, dev_qwk; run"):
        CURVE["grader"].read()
    formats.write_text(paths.CURVE, "epoch,train_loss\n1,0.5\n2,0.x\n")
    with pytest.raises(InputError, match=r"curve\.csv cannot be read .*0\.x.*dvc repro"):
        CURVE["grader"].read()


def test_arrays_and_records_without_what_is_needed():
    formats.write_safetensors(Path("a.safetensors"), ARRAYS)
    with pytest.raises(InputError, match=r"a\.safetensors has no array 'b', found a; run"):
        formats.read_safetensors(Path("a.safetensors"), ["a", "b"])
    formats.write_json(Path("a.json"), [{"query": "q"}, {}])
    with pytest.raises(InputError, match=r"a\.json holds no list of records with query; run"):
        schemas.Records(Path("a.json"), "", {"query": "text"}).read()
    with pytest.raises(InputError, match=r"a\.json holds no metrics queries; run"):
        schemas.metrics(Path("a.json"), ("queries",))


@pytest.mark.parametrize("how", ["missing", "folder", "cut short", "empty", "overwritten"])
def test_a_damaged_chunk_of_a_sweep_is_computed_again(how: str):
    kept = SweepCache(Path("sweep"))
    kept.save(3, ARRAYS)
    loaded = kept.load(3)
    assert loaded is not None
    assert np.array_equal(loaded["a"], ARRAYS["a"])
    damaged(Path("sweep/3.safetensors"), how if how != "overwritten" else "empty")
    assert kept.load(3) is None


def test_every_table_of_the_committed_run_is_as_it_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(REPOSITORY)
    changed = formats.read_json(paths.stage_metrics("pruning"))["changed_pairs"]  # 0 where nothing is confirmed
    for table in TABLES:
        is_empty = table in (*OF_RANKERS, UNLABELLED_HEADS["grader"])  # of a grader that knows no other pairs
        if table.path.is_relative_to("reports") and not is_empty:
            rows = len(table.read())
            assert rows == changed if table == CHANGED_PAIRS else rows > 0
    assert MEDIATION["grader"].read()["total"].notna().any()
