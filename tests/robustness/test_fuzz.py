"""The readers of tables and params meet any file: a valid result or one InputError, never anything else."""

import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pipeline.core.config import load_params
from pipeline.core.errors import InputError
from tests.support.beir import RUN, beir_files, write_beir
from tests.support.fuzzing import (
    PARAMS,
    PIECES,
    YAML_PIECES,
    mutated,
    params,
    read_any_beir,
    read_any_params,
    read_any_table,
    tables,
)

SHORT, LONG = 2.0, 75.0  # seconds of each kind of file
ROUND = 200  # examples between two looks at the clock


def fuzz(seconds: float, contents: st.SearchStrategy[bytes], path: Path, read: Callable[[Path], None]) -> None:
    """Read files until the time is over; what fails is made small and told with the seed."""
    first = int(os.environ.get("FUZZ_SEED", random.randrange(2**32)))
    print(f"FUZZ_SEED={first}")
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        _round(first + number, contents, path, read, end)
        number += 1


def _round(
    number: int, contents: st.SearchStrategy[bytes], path: Path, read: Callable[[Path], None], end: float
) -> None:
    @seed(number)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(content=contents)
    def one(content: bytes) -> None:
        nonlocal end
        if time.monotonic() < end:
            path.write_bytes(content)
            try:
                read(path)
            except Exception:
                end = math.inf  # what fails is read again to make it small, however late it is
                raise

    one()


def table_contents(ending: str) -> st.SearchStrategy[bytes]:
    whole = tables()[ending]
    header = whole.split(b"\n")[0] + b"\n" if ending in (".csv", ".tsv") else b""
    return mutated(whole, PIECES) | st.binary(max_size=300) | st.binary(max_size=100).map(lambda rest: header + rest)


BEIR = beir_files(**{"run.trec": RUN})
BEIR_PIECES = [*PIECES, b"q1", b"d1", b" ", b"query-id", b"_id", b"-1", b"2,5", b"[]", b"1e9"]


def fuzz_beir(seconds: float, name: str, folder: Path) -> None:
    """Read the folder with other contents of one of its files."""
    contents = mutated(str(BEIR[name]).encode(), BEIR_PIECES) | st.binary(max_size=200)
    fuzz(seconds, contents, write_beir(folder, BEIR) / name, read_any_beir)


PARAMS_CONTENTS = params() | mutated(PARAMS.read_bytes(), YAML_PIECES) | st.binary(max_size=200)
ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


@pytest.mark.parametrize("ending", ENDINGS)
def test_any_table_is_read_or_refused(ending: str, tmp_path: Path):
    fuzz(SHORT / len(ENDINGS), table_contents(ending), tmp_path / f"any{ending}", read_any_table)


@pytest.mark.parametrize("name", BEIR)
def test_any_beir_folder_is_read_or_refused(name: str, tmp_path: Path):
    fuzz_beir(SHORT / len(BEIR), name, tmp_path)


def test_any_params_are_read_or_refused(tmp_path: Path):
    fuzz(SHORT, PARAMS_CONTENTS, tmp_path / "params.yaml", read_any_params)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_any_table_is_read_or_refused_for_long(ending: str, tmp_path: Path):
    fuzz(2 * LONG / len(ENDINGS), table_contents(ending), tmp_path / f"any{ending}", read_any_table)


@pytest.mark.slow
@pytest.mark.parametrize("name", BEIR)
def test_any_beir_folder_is_read_or_refused_for_long(name: str, tmp_path: Path):
    fuzz_beir(2 * LONG / len(BEIR), name, tmp_path)


@pytest.mark.slow
def test_any_params_are_read_or_refused_for_long(tmp_path: Path):
    fuzz(2 * LONG, PARAMS_CONTENTS, tmp_path / "params.yaml", read_any_params)


NOT_PARAMS = {
    "small bomb": "a: &a [1, 1]\nbase: &b [*a, *a]\ndata: &c [*b, *b]\nmodel: [*c, *c]\n",
    "loop": "base: &a [*a]\n",
    "python object": "!!python/object/apply:os.system ['touch run']\n",
    "deep": "[" * 10_000,
    "deep keys": "{a: " * 10_000,
    "huge number": f"base: {{seed: {'9' * 100_000}}}\n",
    "no date": "base: 2001-99-99\n",
    "keys of other kinds": "{1: 2, null: 3, 2001-01-01: 4, 1.5: 5, true: 6, !!binary YQ==: 7}\n",
    "list": "[a, b]\n",
    "empty": "",
    "two documents": "a: 1\n---\na: 2\n",
    "NUL": "base: \0\n",
    "half a pair": 'base: {experiment: "\\ud83d"}\n',
}


@pytest.mark.parametrize("text", NOT_PARAMS.values(), ids=NOT_PARAMS)
def test_hostile_params_are_refused_at_once(text: str, tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    start = time.monotonic()
    with pytest.raises(InputError) as raised:
        load_params(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 20_000
    assert time.monotonic() - start < 10
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_params_that_are_no_file(kind: str, tmp_path: Path):
    path = tmp_path / "params.yaml"
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "loop": lambda: path.symlink_to(path)}[kind]()
    with pytest.raises(InputError, match=r"params\.yaml is (no file|missing); run from the project's root"):
        load_params(path)
