"""Tiny BEIR folders."""

import json
from pathlib import Path

CORPUS = {"d1": ("Red shoe", "A shoe."), "d2": ("", "Blue hat"), "d3": ("Tie", " "), "d4": ("Bag", "A bag")}
QUERIES = {"q1": "shoes", "q2": "hats", "q3": "ties"}
JUDGEMENTS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\nq2\td4\t2\nq3\td3\t1\n"
RUN = "q1 Q0 d3 1 9.5 bm25\nq1 Q0 d1 2 8 bm25\nq2 Q0 d2 1 7 bm25\nq2 Q0 d1 2 6.5 bm25\nq9 Q0 d1 1 1 bm25\n"


def corpus_lines(corpus: dict[str, tuple[str, str]]) -> str:
    return "".join(json.dumps({"_id": name, "title": one, "text": two}) + "\n" for name, (one, two) in corpus.items())


def query_lines(queries: dict[str, str]) -> str:
    return "".join(json.dumps({"_id": name, "text": text, "metadata": {}}) + "\n" for name, text in queries.items())


def beir_files(**changes: str | bytes | None) -> dict[str, str | bytes]:
    """Content of a fine folder's files by their paths; `changes` likewise, None takes one away."""
    files: dict[str, str | bytes | None] = {
        "corpus.jsonl": corpus_lines(CORPUS),
        "queries.jsonl": query_lines(QUERIES),
        "qrels/test.tsv": JUDGEMENTS,
        **changes,
    }
    return {name: content for name, content in files.items() if content is not None}


def write_beir(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
