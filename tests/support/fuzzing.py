"""Hostile files for the readers: any bytes, and files that are almost right."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from hypothesis import strategies as st

from pipeline.core.config import Columns, Params, load_params
from pipeline.core.errors import InputError
from pipeline.data.beir import read_beir
from pipeline.data.table import read_table

COLUMNS = Columns(query="query", title="title", grade="grade", split=None)
GRADES = ["1", "2", "nan"]
PARAMS = Path(__file__).parents[2] / "params.yaml"
PIECES = [
    *(b'"', b'""', b",", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3"),
    *(b"{", b"}", b"[" * 3000, b"1" * 5000, b"1e999", b"-0", b"NaN", b"nan", b"null", b"true", b"\\ud83d", b"\\"),
    *(b"PAR1", b"\x15\x04", b"query", b"grade", b"=1+1", "\u202e\u200b👩‍👧".encode(), b"x" * 200_000),
]
YAML_PIECES = [
    *(b"&a ", b"*a", b"<<: *a", b"? ", b": ", b"- ", b"!!python/object:os.system x", b"!!binary x", b"!!set {a}"),
    *(b"!!timestamp x", b"2001-99-99", b"!!int x", b"!!bool x", b"!!float x", b"!!omap [a: 1]", b"!!merge x"),
    *(b"1" * 5000, b"1:" * 500 + b"1.5", b".inf", b".nan", b"~", b"[" * 3000, b"{a: " * 3000),
    *(
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b'"\\ud83d"',
        b"\t",
        b"\n",
        b"\r",
        b"%YAML 9.9\n",
        b"---\n",
        b"...\n",
        b"|\n",
        b">-\n",
    ),
    *(b"-1", b"1e400", b"yes", b"=", b"@", b"`", b"base:", b"  seed: 1\n", b"\xe2\x80\xa8"),
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4)
    | st.sampled_from(["generated", "data/raw/a.csv", "data/raw/\0.csv", "cpu", "embedded", 10**4000])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(scalars, inner, max_size=4), max_leaves=8
)


def tables() -> dict[str, bytes]:
    """Ending -> a small table that can be read."""
    frame = pd.DataFrame(
        {"query": ["a", "b", "c"] * 4, "title": ["x y", "é", "北京"] * 4, "grade": ["1", "2", "nan"] * 4}
    )
    packed = io.BytesIO()
    frame.to_parquet(packed)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in frame.to_dict("records")]
    delimited = {".csv": frame.to_csv(index=False).encode(), ".tsv": frame.to_csv(index=False, sep="\t").encode()}
    return delimited | {".jsonl": "".join(lines).encode(), ".parquet": packed.getvalue()}


@st.composite
def mutated(draw: Callable[..., Any], content: bytes, pieces: list[bytes]) -> bytes:
    """The content with a few stretches replaced by other bytes, by pieces or by stretches of its own."""
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.sampled_from([0, 0, 1, 2, 7, 40, 10**6]))
        here = draw(st.integers(0, len(content)))
        new = draw(st.sampled_from(pieces) | st.binary(max_size=6) | st.just(content[here : here + 30]))
        content = content[:start] + new + content[end:]
    return content


def read_any_table(path: Path) -> None:
    """Read the table; whatever is neither a valid result nor an InputError is raised."""
    frame = said(5000, path, lambda: read_table(path, COLUMNS, [], GRADES))
    if frame is None:
        return
    assert len(frame) > 0
    assert frame["grade"].between(0, 2).all()
    for text in [*frame["query"], *frame["title"]]:
        text.encode("utf-8")


def read_any_beir(file: Path) -> None:
    """Read the BEIR folder that the file is in; whatever is neither a valid result nor an InputError is raised."""
    folder = file.parent if file.parent.name != "qrels" else file.parent.parent
    found = said(5000, folder, lambda: read_beir(folder, []))
    if found is None:
        return
    pairs, _ = found
    assert len(pairs) > 0
    assert pairs["grade"].between(0, 10).all()
    for text in [*pairs["query"], *pairs["title"]]:
        text.encode("utf-8")


def read_any_params(path: Path) -> None:
    """Read the params; whatever is neither a valid result nor an InputError is raised."""
    found = said(100_000, path, lambda: load_params(path))
    assert found is None or isinstance(found, Params)


def said(longest: int, path: Path, read: Callable[[], Any]) -> Any:
    """What `read` returns; None where it refuses the file, by its name and in not too many words."""
    try:
        return read()
    except InputError as error:
        message = str(error)
    assert str(path) in message
    assert len(message) < longest
    return None


@st.composite
def params(draw: Callable[..., Any]) -> bytes:
    """The default params with a few keys, anywhere, replaced, added or removed."""
    found = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    for _ in range(draw(st.integers(1, 4))):
        place = found
        key = draw(st.sampled_from(sorted(place, key=str)))
        while isinstance(place[key], dict) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place, key=str)))
        change = draw(st.sampled_from(["replace", "add", "remove"]))
        if change == "remove" and len(place) > 1:
            del place[key]
        else:
            place[key if change != "add" else draw(scalars.filter(lambda one: one == one))] = draw(values)
    try:
        return yaml.safe_dump(found, allow_unicode=True).encode("utf-8", "surrogatepass")
    except ValueError:  # an integer that Python does not write
        return b"base: " + b"1" * 5000
