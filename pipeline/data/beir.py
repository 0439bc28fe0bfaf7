"""BEIR folders as pairs: corpus.jsonl, queries.jsonl, qrels/*.tsv with the judgements, TREC runs with the candidates.

With a run a query's candidates are the texts that the run lists, a text that nobody judged having the worst grade;
without one they are the judged texts. Files are read line by line, and only the texts of pairs are kept.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.errors import InputError, quote_value
from pipeline.data.grades import grade_kind, grade_parser
from pipeline.data.records import located, read_fields, read_json_objects, text_of

CORPUS, QUERIES, JUDGEMENTS = "corpus.jsonl", "queries.jsonl", "qrels"
RUNS = ("*.trec", "*.run", "run*.txt")
PARTS = ("part-*.csv", "part-*.tsv", "part-*.jsonl", "part-*.parquet")
SPLIT_OF = {"train": "train", "dev": "dev", "validation": "dev", "test": "test"}  # name of a file of judgements
HEADER = ["query-id", "corpus-id", "score"]
ONE_FILE = "put all judgements into one file"
PAIR = ["query_id", "text_id"]
PLACE = {"file": "str", "line": "int64"}
Row = tuple[str | int | float, ...]


def read_beir(folder: Path, grades: list[str]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read the folder's graded pairs.

    Args:
        grades: the labels from worst to best, as the judgements' scores are written; none where these are numbers.

    Returns:
        The pairs, a title being a text's title and text: query, title (str), grade (int64 or float64, as `read_table`)
        and, where there are several files of judgements, split (str), as their names say. The index is called "line"
        and holds each pair's line in the run or the judgements.
        What the run and the judgements lack of each other, see `_coverage`; empty without a run.

    Raises:
        InputError: a file that is missing or not as it should be; an id that is unknown or there twice; files of
            judgements that are not one or dev and test and perhaps train; a query in two of them; a score that is no
            grade; no query with judgements and candidates. The message names file, line and value.
    """
    judgements = _read_judgements(_existing(folder, "data.source"), grades)
    runs = _files(folder, *RUNS)
    if not runs:
        return _with_texts(folder, judgements), {}
    candidates = _read_candidates(runs)
    pairs = _graded(candidates, judgements)
    if pairs.empty:
        raise InputError(
            f"{folder}: no query of the judgements ({_first_query(judgements)}, ...) has candidates in the run "
            f"({_first_query(candidates)}, ...); write the same query ids in both"
        )
    return _with_texts(folder, pairs), _coverage(candidates, judgements)


def read_beir_candidates(folder: Path) -> pd.DataFrame:
    """Read the query and title of the run's candidates, and none of the judgements: as `read_beir`."""
    runs = _files(_existing(folder, "data.unlabelled"), *RUNS)
    if not runs:
        raise InputError(f"{folder} holds no run ({', '.join(RUNS)}), which lists the pairs; add one")
    return _with_texts(folder, _read_candidates(runs))


def _first_query(rows: pd.DataFrame) -> str:
    return quote_value(rows["query_id"].iloc[0])


def _existing(folder: Path, key: str) -> Path:
    if not folder.is_dir():
        state = "no folder" if os.path.lexists(folder) else "missing"
        raise InputError(f"{folder} is {state}; put the BEIR folder there or fix {key}")
    return folder


def _files(folder: Path, *patterns: str) -> list[Path]:
    """The files of such names, in their names' order; hidden ones are an editor's or a system's."""
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if not path.name.startswith("."))


def _read_judgements(folder: Path, grades: list[str]) -> pd.DataFrame:
    """The judged pairs: PAIR, grade, PLACE and, where several files give it, split."""
    files = _files(folder / JUDGEMENTS, "*.tsv")
    if not files and (parts := _files(folder, *PARTS)):
        raise InputError(
            f"{folder} is no BEIR folder but one with parts of a table ({parts[0].name}); give its name their ending, "
            f"as {folder.name}{parts[0].suffix}, and write data.source so"
        )
    if not files:
        raise InputError(f"{folder / JUDGEMENTS} holds no .tsv file; put the judgements there ({' '.join(HEADER)})")
    splits = _splits(folder, files)
    kinds = {"query_id": "str", "text_id": "str", "grade": grade_kind(grades), "split": "str"} | PLACE
    judgements = _frame(files, kinds, lambda path: _judgements(path, splits[path], grades))
    if len(files) == 1:
        return judgements.drop(columns="split")
    _require_one_split(judgements)
    return judgements


def _require_one_split(judgements: pd.DataFrame) -> None:
    first = judgements.drop_duplicates(["query_id", "split"])
    again = first.duplicated("query_id")
    if again.any():
        row = first[again].iloc[0]
        other = first[first["query_id"] == row["query_id"]].iloc[0]
        raise InputError(
            f"{_place(row)}: query {quote_value(row['query_id'])} is in {_place(other)} too; keep each query in one "
            f"split, or {ONE_FILE} to have the pairs split by query"
        )


def _splits(folder: Path, files: list[Path]) -> dict[Path, str]:
    """The split of each file of judgements; "" of a single one, whose queries are split at random."""
    if len(files) == 1:
        return {files[0]: ""}
    splits = {path: SPLIT_OF.get(path.stem, "") for path in files}
    names = sorted(splits.values())
    if names not in (["dev", "test"], ["dev", "test", "train"]):
        raise InputError(
            f"{folder / JUDGEMENTS} holds {', '.join(path.name for path in files)}; the splits need dev.tsv (or "
            f"validation.tsv), test.tsv and, where a model is trained, train.tsv; or {ONE_FILE} to have the "
            "pairs split by query"
        )
    return splits


def _judgements(path: Path, split: str, grades: list[str]) -> Iterator[Row]:
    parse = grade_parser(grades)
    for line, fields in read_fields(path, "\t"):
        cells = [field.strip() for field in fields]
        if line == 1 and [cell.lower().replace("_", "-") for cell in cells] == HEADER:
            continue
        if len(cells) != len(HEADER) or not all(cells):
            raise InputError(
                f"{path}, line {line}: {quote_value(cells)} is not a query's id, a text's id and a score with tabs "
                "between; fix the line"
            )
        with located(f"{path}, line {line}"):
            grade = parse(cells[2])
        yield cells[0], cells[1], grade, split, str(path), line


def _read_candidates(runs: list[Path]) -> pd.DataFrame:
    """The pairs of the runs, the first of those that several list: PAIR and PLACE."""
    candidates = _frame(runs, {"query_id": "str", "text_id": "str"} | PLACE, _candidates)
    return candidates.drop_duplicates(PAIR, ignore_index=True)


def _candidates(path: Path) -> Iterator[Row]:
    for line, fields in read_fields(path, None):
        if len(fields) != 6:
            raise InputError(
                f"{path}, line {line}: {quote_value(fields)} has {len(fields)} fields; write query id, Q0, text id, "
                "rank, score and the run's name"
            )
        yield fields[0], fields[2], str(path), line


def _frame(files: list[Path], kinds: dict[str, str], read: Callable[[Path], Iterator[Row]]) -> pd.DataFrame:
    """The files' rows as a frame of these columns; a pair is in each file once."""
    frames = [pd.DataFrame(read(path), columns=list(kinds)).astype(kinds) for path in files]
    rows = pd.concat(frames, ignore_index=True)
    if rows.empty:
        raise InputError(f"{', '.join(map(str, files))}: no pairs; write a line a pair")
    again = rows.duplicated([*PAIR, "file"])
    if again.any():
        row = rows[again].iloc[0]
        first = rows[(rows[[*PAIR, "file"]] == row[[*PAIR, "file"]]).all(axis=1)].iloc[0]
        raise InputError(
            f"{_place(row)}: query {quote_value(row['query_id'])} and text {quote_value(row['text_id'])} are there "
            f"already in line {first['line']}; keep one of them"
        )
    return rows


def _graded(candidates: pd.DataFrame, judgements: pd.DataFrame) -> pd.DataFrame:
    """The candidates of the judged queries with their grades, the worst where nobody judged them, and splits."""
    rows = candidates[candidates["query_id"].isin(judgements["query_id"])]
    rows = rows.merge(judgements[[*PAIR, "grade"]], how="left", on=PAIR)
    rows["grade"] = rows["grade"].fillna(0).astype(judgements["grade"].dtype)
    if "split" in judgements:
        rows["split"] = rows["query_id"].map(judgements.drop_duplicates("query_id").set_index("query_id")["split"])
    return rows


def _coverage(candidates: pd.DataFrame, judgements: pd.DataFrame) -> dict[str, int]:
    """Count what is left out: of the judgements and candidates of the other's queries, and queries of one alone."""
    both = pd.Index(candidates["query_id"]).intersection(judgements["query_id"])
    listed = candidates[candidates["query_id"].isin(both)]
    judged = judgements[judgements["query_id"].isin(both)]
    missed = ~pd.MultiIndex.from_frame(judged[PAIR]).isin(pd.MultiIndex.from_frame(listed[PAIR]))
    return {
        "judged_titles": len(judged),
        "judged_titles_not_in_run": int(missed.sum()),
        "titles_above_worst": int((judged["grade"] > 0).sum()),
        "titles_above_worst_not_in_run": int((judged["grade"][missed] > 0).sum()),
        "candidates_not_judged": len(listed) - int((~missed).sum()),
        "queries_not_in_run": judgements["query_id"].nunique() - len(both),
        "queries_not_judged": candidates["query_id"].nunique() - len(both),
    }


def _with_texts(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with query and title in the place of their ids, numbered by their lines."""
    queries = _read_texts(folder / QUERIES, rows, "query_id", ("text",))
    titles = _read_texts(folder / CORPUS, rows, "text_id", ("title", "text"))
    pairs = pd.DataFrame({"query": rows["query_id"].map(queries), "title": rows["text_id"].map(titles)}).astype("str")
    pairs = pd.concat([pairs, rows.drop(columns=[*PAIR, *PLACE])], axis=1)
    pairs.index = pd.Index(rows["line"], name="line")
    return pairs


def _read_texts(path: Path, rows: pd.DataFrame, ids: str, parts: tuple[str, ...]) -> dict[str, str]:
    """Text of every id in a column of the rows: the parts that are not blank, joined by a space."""
    needed = set(rows[ids])
    texts: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, record in read_json_objects(path, "a BEIR folder has it"):
        with located(f"{path}, line {line}"):
            name = _id(record)
            if name not in needed:
                continue
            if name in texts:
                raise InputError(f"{quote_value(name)} is the _id of line {lines[name]} too; keep one of them")
            texts[name], lines[name] = _joined(record, parts), line
    unknown = ~rows[ids].isin(list(texts))
    if unknown.any():
        row = rows[unknown].iloc[0]
        raise InputError(
            f"{_place(row)}: {quote_value(row[ids])} is the _id of no line of {path}; add it there or remove the line"
        )
    return texts


def _id(record: dict[str, Any]) -> str:
    name = text_of(record.get("_id")).strip()
    if not name:
        raise InputError(f"{quote_value(record)} has no _id; give it one")
    return name


def _joined(record: dict[str, Any], parts: tuple[str, ...]) -> str:
    if "text" not in record:
        raise InputError(f"{quote_value(record)} has no text; give it one")
    texts = [text_of(record.get(part)) for part in parts]
    return " ".join(text for text in texts if text.strip())


def _place(row: pd.Series) -> str:
    return f"{row['file']}, line {row['line']}"
