"""The prepare stage, from a source to its five files, or to one message and no file."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.core import paths
from pipeline.core.config import Params
from pipeline.core.errors import InputError
from pipeline.stages import prepare
from pipeline.tracking import Record
from tests.support.shell import REPOSITORY

OUTPUTS = [paths.TRAIN, paths.DEV, paths.TEST, paths.REJECTED, paths.stage_metrics("prepare")]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.RAW.mkdir(parents=True)


def params(**data):
    values = yaml.safe_load((REPOSITORY / paths.PARAMS).read_text(encoding="utf-8"))
    values["data"] |= data
    return Params.model_validate(values)


def own(text, *, grades=("bad", "good"), split=None, slices=(), name="own.tsv", **data):
    (paths.RAW / name).write_text(text, encoding="utf-8", newline="")
    columns = {"query": "query", "title": "title", "grade": "grade", "split": split}
    return params(source=str(paths.RAW / name), columns=columns, grades=list(grades), slices=list(slices), **data)


def run(given):
    record = Record()
    prepare.main(given, record)
    return record


def files():
    return {path for path in Path().rglob("*") if path.is_file() and paths.RAW not in path.parents}


def splits():
    return {path.stem: pd.read_parquet(path) for path in (paths.TRAIN, paths.DEV, paths.TEST)}


GIVEN = (
    "query\ttitle\tgrade\tpart\tyear\n"
    'shoes\tred "shoes"\tgood\ttrain\t2001\n'  # line 2
    "hat\thats\tgood\tdev\t\n"
    "Shoes\ta hat\tbad\ttrain\t2003\n"
    "\n"
    "tie\t \tbad\ttest\t2004\n"  # line 6
    "tie\tties\tgood\ttest\t2004\n"
    "tie\tTies\tgood\ttest\t2005\n"
    "tie\tbow\tgood\ttest\t2005\n"
    "tie\tbow\tbad\ttest\t2005\n"
)


def test_a_table_with_its_own_splits():
    record = run(own(GIVEN, split="part", slices=["year"]))
    assert files() == set(OUTPUTS)
    frames = splits()
    assert frames["train"].columns.tolist() == ["query_id", "query", "title", "grade", "year"]
    assert [str(kind) for kind in frames["train"].dtypes] == ["int64", "str", "str", "int64", "str"]
    assert frames["train"].to_numpy().tolist() == [
        [0, "shoes", 'red "shoes"', 1, "2001"],
        [0, "Shoes", "a hat", 0, "2003"],
    ]
    assert frames["dev"].to_numpy().tolist() == [[1, "hat", "hats", 1, ""]]
    assert frames["test"].to_numpy().tolist() == [[2, "tie", "ties", 1, "2004"]]

    assert paths.REJECTED.read_text(encoding="utf-8").splitlines() == [
        '"line","reason","query","title","grade"',
        '6,"empty title","tie"," ","bad"',
        '8,"duplicate","tie","Ties","good"',
        '9,"conflicting duplicate","tie","bow","good"',
        '10,"conflicting duplicate","tie","bow","bad"',
    ]
    metrics = json.loads(paths.stage_metrics("prepare").read_text(encoding="utf-8"))
    assert metrics == {
        "pairs_read": 8,
        "rejected": 4,
        "rejected_empty_query": 0,
        "rejected_empty_title": 1,
        "rejected_conflicting_duplicate": 2,
        "rejected_duplicate": 1,
        "train_pairs": 2,
        "train_queries": 1,
        "train_titles_per_query": 2.0,
        "train_share_of_grade_bad": 0.5,
        "train_share_of_grade_good": 0.5,
        "dev_pairs": 1,
        "dev_queries": 1,
        "dev_titles_per_query": 1.0,
        "dev_share_of_grade_bad": 0.0,
        "dev_share_of_grade_good": 1.0,
        "test_pairs": 1,
        "test_queries": 1,
        "test_titles_per_query": 1.0,
        "test_share_of_grade_bad": 0.0,
        "test_share_of_grade_good": 1.0,
    }
    assert record.metrics == metrics
    assert record.artifacts == [paths.REJECTED, paths.stage_metrics("prepare")]
    assert record.dataset == [paths.TRAIN, paths.DEV, paths.TEST]


def test_a_table_without_splits_is_split_by_query():
    rows = [f"q{n % 40},title {n},{'good' if n % 3 else 'bad'}\n" for n in range(200)]
    run(own("query,title,grade\n" + "".join(rows), name="own.csv"))
    frames = splits()
    assert {name: len(frame) for name, frame in frames.items()} == {"train": 130, "dev": 25, "test": 45}
    queries = [set(frame["query"]) for frame in frames.values()]
    assert not queries[0] & queries[1] | queries[0] & queries[2] | queries[1] & queries[2]
    together = pd.concat(frames.values())
    assert sorted(together["query_id"].unique()) == list(range(40))
    assert (together["query"] == "q" + together["query_id"].astype("str")).all()  # numbered as they first appear
    assert sorted(together["title"]) == sorted(f"title {n}" for n in range(200))


WRONG = {
    "unknown grade": ("query\ttitle\tgrade\na\tb\tgreat\n", None, "own.tsv, line 2: grade 'great' is none of"),
    "query in two splits": (GIVEN + "HAT \tcap\tbad\ttest\t\n", "part", r"query 'HAT ' is in dev \(line 3\)"),
    "unknown split": (GIVEN + "cap\tcap\tbad\tvalid\t\n", "part", "line 11: split 'valid' is none of"),
    "empty split": (GIVEN.replace("\tdev\t", "\ttest\t"), "part", "own.tsv: the dev split is empty"),
    "grade not trained": (
        GIVEN.replace("a hat\tbad", "a hat\tgood"),
        "part",
        "grade 'bad' does not occur in the train",
    ),
    "all rejected": ("query\ttitle\tgrade\n\tb\tgood\n", None, "the train split is empty"),
    "too few queries": ("query\ttitle\tgrade\na\tb\tgood\na\tc\tbad\n", None, "split is empty"),
}


@pytest.mark.parametrize(("text", "split", "said"), WRONG.values(), ids=WRONG)
def test_an_error_comes_before_any_output(text, split, said):
    with pytest.raises(InputError, match=said):
        run(own(text, split=split))
    assert files() == set()


def test_labels_that_no_metric_name_can_hold():
    metrics = run(own(GIVEN.replace("good", "+").replace("bad", "-"), split="part", grades=["-", "+"])).metrics
    assert metrics["train_share_of_grade_0"] == 0.5
    assert metrics["test_share_of_grade_1"] == 1.0


def test_labels_that_are_too_long_for_a_metric_s_name():
    long = "good" * 60
    metrics = run(own(GIVEN.replace("good", long), split="part", grades=["bad", long])).metrics
    assert metrics["test_share_of_grade_1"] == 1.0
    assert max(map(len, metrics)) < 250


TINY = {"train_pairs": 200, "dev_pairs": 60, "test_pairs": 60, "titles_per_query": 6, "label_noise": 0.03}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_generated_corpus_gives_the_same_bytes_twice(language):
    given = params(source="generated", generated=TINY | {"language": language})
    run(given)
    first = [hashlib.sha256(path.read_bytes()).hexdigest() for path in OUTPUTS]
    columns = ["query_id", "query", "title", "grade", "domain", "phenomenon", "vocabulary"]
    assert splits()["train"].columns.tolist() == columns
    assert set(given.data.slice_columns) < set(columns)
    run(given)
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in OUTPUTS] == first


def test_nothing_heavy_is_imported():
    code = "import sys, pipeline.stages.prepare; print(sorted({'torch', 'transformers', 'jieba'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
