"""A BEIR folder's pairs, worked out by hand from a folder of three queries and four texts."""

from pathlib import Path

import pytest

from pipeline.core.errors import InputError
from pipeline.data.beir import read_beir, read_beir_candidates
from tests.support.beir import CORPUS, JUDGEMENTS, RUN, beir_files, corpus_lines, write_beir


def read(folder: Path, grades: list[str] | None = None, **changes):
    return read_beir(write_beir(folder / "beir", beir_files(**changes)), grades or [])


def rows(pairs):
    return [(line, *row) for line, row in zip(pairs.index, pairs.to_numpy().tolist(), strict=True)]


def test_without_a_run_the_judged_texts_are_the_pairs(tmp_path: Path):
    pairs, coverage = read(tmp_path)
    assert pairs.columns.tolist() == ["query", "title", "grade"]
    assert [str(kind) for kind in pairs.dtypes] == ["str", "str", "float64"]
    assert pairs.index.name == "line"
    assert rows(pairs) == [
        (2, "shoes", "Red shoe A shoe.", 2.0),
        (3, "shoes", "Blue hat", 0.0),
        (4, "hats", "Blue hat", 1.0),
        (5, "hats", "Bag A bag", 2.0),
        (6, "ties", "Tie", 1.0),
    ]
    assert coverage == {}


def test_with_a_run_its_texts_are_the_pairs_and_what_it_lacks_is_counted(tmp_path: Path):
    pairs, coverage = read(tmp_path, **{"run.trec": RUN})
    assert rows(pairs) == [
        (1, "shoes", "Tie", 0.0),
        (2, "shoes", "Red shoe A shoe.", 2.0),
        (3, "hats", "Blue hat", 1.0),
        (4, "hats", "Red shoe A shoe.", 0.0),
    ]
    assert coverage == {
        "judged_titles": 4,  # q1: d1 d2; q2: d2 d4
        "judged_titles_not_in_run": 2,  # q1 d2, q2 d4
        "titles_above_worst": 3,  # q1 d1, q2 d2, q2 d4
        "titles_above_worst_not_in_run": 1,  # q2 d4
        "candidates_not_judged": 2,  # q1 d3, q2 d1
        "queries_not_in_run": 1,  # q3
        "queries_not_judged": 1,  # q9
    }


def test_names_of_the_grades(tmp_path: Path):
    judgements = "q1\td1\tgood\nq1\td2\tbad\n"
    pairs, coverage = read(tmp_path, ["bad", "good"], **{"qrels/test.tsv": judgements, "a.run": RUN})
    assert str(pairs["grade"].dtype) == "int64"
    assert rows(pairs) == [(1, "shoes", "Tie", 0), (2, "shoes", "Red shoe A shoe.", 1)]
    assert coverage["titles_above_worst"] == 1
    with pytest.raises(InputError, match=r"qrels/test\.tsv, line 1: grade 'good' is none of data\.grades \['1', '2'\]"):
        read(tmp_path, ["1", "2"], **{"qrels/test.tsv": judgements})


def test_several_runs_give_the_texts_of_all(tmp_path: Path):
    other = "q1\tQ0\td1\t1\t3\tother\nq1\tQ0\td4\t2\t2\tother\n"
    pairs, _ = read(tmp_path, **{"run.txt": RUN, "run2.txt": other, "notes.txt": "none", ".run.trec": "none"})
    assert [row[:3] for row in rows(pairs)] == [
        (1, "shoes", "Tie"),
        (2, "shoes", "Red shoe A shoe."),
        (3, "hats", "Blue hat"),
        (4, "hats", "Red shoe A shoe."),
        (2, "shoes", "Bag A bag"),
    ]


SPLITS = {"train.tsv": "q1\td1\t2\n", "validation.tsv": "q2\td2\t1\n", "test.tsv": "q3\td3\t1\n"}


def split_files(*names: str) -> dict[str, str | None]:
    return {"qrels/test.tsv": None} | {f"qrels/{name}": SPLITS[name] for name in names}


@pytest.mark.parametrize("run", [None, "q3 Q0 d1 1 1 a\nq2 Q0 d2 1 1 a\nq1 Q0 d1 1 1 a\n"])
def test_splits_from_the_files_of_judgements(tmp_path: Path, run: str | None):
    pairs, _ = read(tmp_path, **split_files(*SPLITS), **{"run.trec": run})
    assert pairs.columns[-1] == "split"
    assert dict(zip(pairs["query"], pairs["split"], strict=True)) == {"shoes": "train", "hats": "dev", "ties": "test"}
    pairs, _ = read(tmp_path / "untrained", **split_files("validation.tsv", "test.tsv"))
    assert pairs["split"].tolist() == ["test", "dev"]


def test_a_single_file_brings_no_splits_whatever_its_name(tmp_path: Path):
    assert "split" not in read(tmp_path, **split_files("train.tsv"))[0]


@pytest.mark.parametrize("names", [("train.tsv", "test.tsv"), ("train.tsv", "validation.tsv")])
def test_splits_that_are_not_complete(tmp_path: Path, names: tuple[str, ...]):
    with pytest.raises(InputError, match=r"beir/qrels holds .*train\.tsv.*; the splits need dev\.tsv .* into one file"):
        read(tmp_path, **split_files(*names))


def test_a_query_in_two_splits(tmp_path: Path):
    files = split_files(*SPLITS) | {"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq3\td3\t1\nq1\td2\t1\n"}
    with pytest.raises(InputError, match=r"train\.tsv, line 1: query 'q1' is in .*test\.tsv, line 3 too; keep each"):
        read(tmp_path, **files)


def test_candidates_without_grades(tmp_path: Path):
    run = RUN.replace("q9", "q3")
    pairs = read_beir_candidates(write_beir(tmp_path, beir_files(**{"qrels/test.tsv": None, "x.run": run})))
    assert rows(pairs) == [
        (1, "shoes", "Tie"),
        (2, "shoes", "Red shoe A shoe."),
        (3, "hats", "Blue hat"),
        (4, "hats", "Red shoe A shoe."),
        (5, "ties", "Red shoe A shoe."),
    ]


def test_candidates_without_a_run(tmp_path: Path):
    with pytest.raises(InputError, match=r"holds no run \(\*\.trec, \*\.run, run\*\.txt\), which lists the pairs"):
        read_beir_candidates(write_beir(tmp_path, beir_files()))


def test_ids_that_are_numbers_and_a_text_without_a_title(tmp_path: Path):
    corpus = '{"_id": 1, "text": "one"}\n{"_id": "2", "title": null, "text": 2}\n{"_id": "3", "text": null}\n'
    judgements = "q1\t1\t1\nq1\t2\t0\nq2\t3\t1\n"
    pairs, _ = read(tmp_path, **{"corpus.jsonl": corpus, "qrels/test.tsv": judgements})
    assert pairs["title"].tolist() == ["one", "2", ""]  # the empty one is set aside later


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_change_nothing(tmp_path: Path):
    plain = beir_files(**{"run.trec": RUN})
    changed = {name: "\ufeff" + text.replace("\n", "\r\n") + "\r\n" for name, text in plain.items()}
    one, _ = read_beir(write_beir(tmp_path / "one", plain), [])
    other, _ = read_beir(write_beir(tmp_path / "other", changed), [])
    assert rows(other) == rows(one)


def test_of_a_text_that_no_pair_needs_only_its_line_must_be_sound(tmp_path: Path):
    needless = '{"_id": "d8", "text": ["a"]}\n{"_id": "d8"}\n'
    assert len(read(tmp_path, **{"corpus.jsonl": corpus_lines(CORPUS) + needless})[0]) == 5


WRONG = {
    "no folder of judgements": ({"qrels/test.tsv": None}, ["qrels holds no .tsv file"]),
    "no judgements": ({"qrels/test.tsv": "query-id\tcorpus-id\tscore\n"}, ["test.tsv: no pairs"]),
    "no corpus": ({"corpus.jsonl": None}, ["corpus.jsonl is missing; a BEIR folder has it"]),
    "no queries": ({"queries.jsonl": None}, ["queries.jsonl is missing"]),
    "empty corpus": ({"corpus.jsonl": ""}, ["test.tsv, line 2: 'd1' is the _id of no line of", "corpus.jsonl"]),
    "unknown text": ({"qrels/test.tsv": JUDGEMENTS + "q1\td7\t1\n"}, ["test.tsv, line 7: 'd7' is the _id of no line"]),
    "unknown query": ({"qrels/test.tsv": JUDGEMENTS + "q7\td1\t1\n"}, ["test.tsv, line 7: 'q7'", "queries.jsonl"]),
    "unknown text in a run": ({"run.trec": RUN + "q1 Q0 d7 3 1 a\n"}, ["run.trec, line 6: 'd7' is the _id of no line"]),
    "no query in both": ({"run.trec": "q9 Q0 d1 1 1 a\n"}, ["no query of the judgements ('q1', ...)", "('q9', ...)"]),
    "judged twice": ({"qrels/test.tsv": JUDGEMENTS + "q1\td2\t0\n"}, ["line 7: query 'q1' and text 'd2'", "line 3;"]),
    "listed twice": ({"run.trec": RUN + "q2 Q0 d1 3 1 a\n"}, ["run.trec, line 6: query 'q2'", "in line 4"]),
    "a text twice": ({"corpus.jsonl": corpus_lines(CORPUS) * 2}, ["line 5: 'd1' is the _id of line 1 too; keep one"]),
    "not JSON": ({"corpus.jsonl": "{\n"}, ["corpus.jsonl, line 1: not JSON"]),
    "a list": ({"queries.jsonl": "[1]\n"}, ["queries.jsonl, line 1: [1] is not a JSON object"]),
    "no id": ({"queries.jsonl": '{"text": "a"}\n'}, ["line 1: {'text': 'a'} has no _id"]),
    "null id": ({"corpus.jsonl": '{"_id": null, "text": "a"}\n'}, ["corpus.jsonl, line 1:", "has no _id"]),
    "list as id": ({"corpus.jsonl": '{"_id": [1], "text": "a"}\n'}, ["corpus.jsonl, line 1: [1] is not text"]),
    "no text": ({"corpus.jsonl": '{"_id": "d1", "title": "a"}\n'}, ["line 1: {'_id': 'd1', 'title': 'a'} has no text"]),
    "list as text": ({"corpus.jsonl": '{"_id": "d1", "text": ["a"]}\n'}, ["line 1: ['a'] is not text"]),
    "half a pair": ({"corpus.jsonl": r'{"_id": "d1", "text": "\ud83d"}'}, ["line 1:", "surrogate"]),
    "Latin-1 corpus": ({"corpus.jsonl": b'{"_id": "d1",\n"\xe9"}'}, ["corpus.jsonl, line 2, byte 2", "UTF-8"]),
    "Latin-1 judgements": ({"qrels/test.tsv": b"q\xe9\td1\t1\n"}, ["test.tsv, line 1, byte 2", "UTF-8"]),
    "UTF-16 run": ({"run.trec": RUN.encode("utf-16")}, ["run.trec, line 1, byte 1", "UTF-8"]),
    "no number": ({"qrels/test.tsv": "q1\td1\thigh\n"}, ["test.tsv, line 1: grade 'high' is no finite number"]),
    "comma": ({"qrels/test.tsv": "q1\td1\t2,33\n"}, ["line 1: grade '2,33'", "decimal point, as 2.33"]),
    "negative": ({"qrels/test.tsv": JUDGEMENTS + "q1\td4\t-1\n"}, ["line 7: grade '-1' is negative"]),
    "large": ({"qrels/test.tsv": "q1\td1\t100\n"}, ["line 1: grade '100' is above 10", "divide the grades"]),
    "no score": ({"qrels/test.tsv": "q1\td1\n"}, ["line 1: ['q1', 'd1'] is not a query's id, a text's id and a score"]),
    "judgements of TREC": ({"qrels/test.tsv": "q1\t0\td1\t1\n"}, ["line 1: ['q1', '0', 'd1', '1'] is not"]),
    "spaces for tabs": ({"qrels/test.tsv": "q1 d1 1\n"}, ["line 1: ['q1 d1 1'] is not", "tabs"]),
    "five fields": ({"run.trec": "q1 Q0 d1 1 9\n"}, ["run.trec, line 1:", "has 5 fields; write query id, Q0"]),
    "empty run": ({"run.trec": "\n"}, ["run.trec: no pairs"]),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_file_line_and_value(tmp_path: Path, changes: dict, said: list[str]):
    with pytest.raises(InputError) as raised:
        read(tmp_path, **changes)
    for words in [str(tmp_path / "beir"), *said]:
        assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_folder(tmp_path: Path):
    with pytest.raises(InputError, match=r"none is missing; put the BEIR folder there or fix data\.source"):
        read_beir(tmp_path / "none", [])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file is no folder; .* fix data\.unlabelled"):
        read_beir_candidates(tmp_path / "file")


def test_a_folder_in_the_place_of_a_file(tmp_path: Path):
    (tmp_path / "beir" / "run.trec").mkdir(parents=True)
    with pytest.raises(InputError, match=r"run\.trec is no file"):
        read(tmp_path)
