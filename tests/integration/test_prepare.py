"""The prepare stage, from a source to its six files, or to one message and no file."""

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
from pipeline.data import splits as data_splits
from pipeline.stages import prepare
from pipeline.tables.prepare import SPLIT_TABLES, UNLABELLED
from pipeline.tracking import Record
from tests.support.beir import CORPUS, RUN, beir_files, corpus_lines, query_lines, write_beir
from tests.support.shell import REPOSITORY

OUTPUTS = [paths.TRAIN, paths.DEV, paths.TEST, paths.UNLABELLED, paths.REJECTED, paths.stage_metrics("prepare")]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An empty project, entered; one query a split is enough, so that tables can be read at a glance."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data_splits, "LEAST_QUERIES", 1)
    paths.RAW.mkdir(parents=True)


def params(**data):
    return Params.model_validate(param_values(**data))


def param_values(**data):
    values = yaml.safe_load((REPOSITORY / paths.PARAMS).read_text(encoding="utf-8"))
    values["data"] |= data
    return values


def ranker(given, objective="pairwise", fine_tuned=True):
    """The params with a model of one score a pair, fine-tuned already or not."""
    values = given.model_dump()
    values["finetune"]["objective"] = objective
    values["model"] |= {"name": "data/checkpoints/mine", "fine_tuned": fine_tuned}
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
        "unlabelled_pairs": 0,
        "unlabelled_rejected": 0,
        "unlabelled_in_train": 0,
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


NUMBERS = (
    "query\ttitle\tgrade\tpart\n"
    "hat\thats\t1\tdev\n"
    "hat\ta hat\t2.330\tdev\n"
    "tie\tties\t0\ttest\n"
    "tie\tTies\t0.0\ttest\n"  # line 5
    "tie\tbow\t1e-1\ttest\n"
    "cap\tcap\t2\ttest\n"
    "cap\tCap\t2.5\ttest\n"
)


def numbers(text=NUMBERS, split="part", **data):
    return Params.model_validate(
        param_values(
            source=str(write_table(text)),
            columns={"query": "query", "title": "title", "grade": "grade", "split": split},
            grades="numbers",
            **data,
        )
        | {"finetune": param_values()["finetune"] | {"objective": "regression"}}
    )


def write_table(text):
    path = paths.RAW / "numbers.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_grades_that_are_numbers_and_no_training_pairs(capsys):
    metrics = run(ranker(numbers())).metrics
    frames = splits()
    assert [str(frame["grade"].dtype) for frame in frames.values()] == ["float64"] * 3
    assert frames["train"].empty
    assert frames["dev"].to_numpy().tolist() == [[0, "hat", "hats", 1.0], [0, "hat", "a hat", 2.33]]
    assert frames["test"].to_numpy().tolist() == [[1, "tie", "ties", 0.0], [1, "tie", "bow", 0.1]]
    assert paths.REJECTED.read_text(encoding="utf-8").splitlines()[1:] == [
        '5,"duplicate","tie","Ties","0"',
        '7,"conflicting duplicate","cap","cap","2"',
        '8,"conflicting duplicate","cap","Cap","2.5"',
    ]
    assert json.loads(paths.stage_metrics("prepare").read_text(encoding="utf-8")) == metrics
    assert {name: value for name, value in metrics.items() if name.startswith(("train", "test"))} == {
        "train_pairs": 0,
        "train_queries": 0,
        "train_titles_per_query": None,
        "train_mean_grade": None,
        "train_share_of_grades_above_0": None,
        "train_comparable_queries": 0,
        "test_pairs": 2,
        "test_queries": 1,
        "test_titles_per_query": 2.0,
        "test_mean_grade": 0.05,
        "test_share_of_grades_above_0": 0.5,
        "test_comparable_queries": 1,
    }
    few = "few queries with titles of different grades, 1; intervals are over queries, so give it at least 30"
    assert [line.split(":")[1] for line in capsys.readouterr().err.splitlines()] == [
        f" dev has {few}",
        f" test has {few}",
    ]
    for table in SPLIT_TABLES.values():
        pd.testing.assert_frame_equal(table.read(), splits()[table.path.stem])


def test_a_model_that_is_trained_needs_training_pairs():
    with pytest.raises(InputError, match=r"the train split is empty .* or set model\.fine_tuned"):
        run(numbers())
    assert files() == set()


def test_a_fine_tuned_grader_needs_no_grade_in_train():
    text = GIVEN.replace("a hat\tbad", "a hat\tgood")
    with pytest.raises(InputError, match="grade 'bad' does not occur in the train"):
        run(own(text, split="part"))
    values = own(text, split="part").model_dump()
    values["model"] |= {"name": "data/checkpoints/mine", "fine_tuned": True}
    assert run(Params.model_validate(values)).metrics["train_share_of_grade_bad"] == 0.0


@pytest.mark.parametrize("objective", ["regression", "pairwise", "listwise"])
def test_a_trained_ranker_needs_training_queries_of_several_grades_where_it_learns_order(objective):
    text = NUMBERS + "bag\tbags\t1\ttrain\nbag\ta bag\t1\ttrain\n"
    given = ranker(numbers(text), objective, fine_tuned=False)
    if objective == "regression":
        assert run(given).metrics["train_comparable_queries"] == 0
        return
    with pytest.raises(InputError, match="no query of train has two titles of different grades"):
        run(given)


def test_a_test_split_of_which_nothing_can_be_ranked():
    with pytest.raises(InputError, match=r"numbers\.tsv: no query of test has two titles of different grades"):
        run(ranker(numbers(NUMBERS.replace("1e-1", "0"))))
    assert files() == set()


@pytest.mark.parametrize("grade", [lambda n: f"{n % 7 / 3:.2f}", lambda n: str(int(n % 10 == 0))])
def test_candidates_of_a_query_stay_together_whatever_the_grades(grade):
    rows = [f"q{n % 40},title {n},{grade(n // 40 * 3 + n)}\n" for n in range(800)]
    paths.RAW.joinpath("many.csv").write_text("query,title,grade\n" + "".join(rows))
    given = numbers().model_dump()
    given["data"] |= {"source": "data/raw/many.csv", "columns": given["data"]["columns"] | {"split": None}}
    run(ranker(Params.model_validate(given)))
    queries = [set(frame["query"]) for frame in splits().values()]
    assert sum(map(len, queries)) == 40
    assert all((frame.groupby("query").size() == 20).all() for frame in splits().values())


def beir_params(**data):
    return ranker(params(source="data/raw/beir", grades=["0", "1", "2"], **data))


def test_a_beir_folder_split_by_query(capsys):
    names = [f"q{number}" for number in range(20)]
    changes = {
        "queries.jsonl": query_lines({name: f"text of {name}" for name in names}),
        "qrels/test.tsv": "".join(f"{name}\td1\t2\n{name}\td4\t1\n" for name in names),
        "run.trec": "".join(f"{name} Q0 {text} 1 1 a\n" for name in names[1:] for text in ("d1", "d2", "d3")),
    }
    write_beir(paths.RAW / "beir", beir_files(**changes))
    record = run(beir_params())
    assert capsys.readouterr().err.splitlines()[:2] == [
        "prepare: 19 of 38 judged titles (19 of 38 above the worst grade) are not in the run and left out: a query's "
        "titles are the run's",
        "prepare: judged queries left out because the run lacks them: 1",
    ]
    frames = splits()
    for query_id, group in pd.concat(frames.values()).groupby("query_id"):
        assert set(group["query"]) == {f"text of q{query_id + 1}"}
        assert group["title"].tolist() == ["Red shoe A shoe.", "Blue hat", "Tie"]
        assert group["grade"].tolist() == [2, 0, 0]
    assert sum(frame["query"].nunique() for frame in frames.values()) == 19
    assert (record.metrics["judged_titles_not_in_run"], record.metrics["queries_not_in_run"]) == (19, 1)
    assert files() == set(OUTPUTS)


def test_a_beir_folder_with_splits_and_its_rejected_lines():
    judgements = {"qrels/dev.tsv": "q1\td1\t2\nq1\td2\t0\n", "qrels/test.tsv": "q2\td2\t1\nq2\td4\t2\nq2\td5\t1\n"}
    corpus = corpus_lines(CORPUS | {"d5": ("blue", "HAT")})
    write_beir(paths.RAW / "beir", beir_files(**judgements, **{"corpus.jsonl": corpus}))
    run(beir_params())
    assert paths.REJECTED.read_text(encoding="utf-8").splitlines()[1:] == ['3,"duplicate","hats","blue HAT","1"']
    assert {name: len(frame) for name, frame in splits().items()} == {"train": 0, "dev": 2, "test": 2}


def test_the_same_query_under_two_ids_in_two_splits():
    judgements = {"qrels/dev.tsv": "q1\td1\t2\nq1\td2\t0\n", "qrels/test.tsv": "q2\td2\t1\nq2\td4\t2\n"}
    queries = query_lines({"q1": "shoes", "q2": "Shoes"})
    write_beir(paths.RAW / "beir", beir_files(**judgements, **{"queries.jsonl": queries}))
    with pytest.raises(InputError, match=r"'Shoes' is in dev \(line 1\) and in test \(line 1\).*into one file to have"):
        run(beir_params())
    assert files() == set()


def test_pairs_without_grades_from_a_run():
    write_beir(paths.RAW / "log", beir_files(**{"qrels/test.tsv": None, "run.trec": RUN.replace("q9", "q3")}))
    record = run(own(GIVEN, split="part", unlabelled="data/raw/log"))
    assert UNLABELLED.read().to_numpy().tolist() == [
        [0, "shoes", "Tie"],
        [0, "shoes", "Red shoe A shoe."],
        [1, "hats", "Blue hat"],
        [1, "hats", "Red shoe A shoe."],
        [2, "ties", "Red shoe A shoe."],
    ]
    assert record.metrics["unlabelled_pairs"] == 5


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


def unlabelled(name, text, **data):
    """Params that name data/raw/NAME as the pairs without grades, beside a graded table."""
    (paths.RAW / name).write_text(text, encoding="utf-8", newline="")
    return own(GIVEN, split="part", unlabelled=str(paths.RAW / name), **data)


def test_pairs_without_grades_are_cleaned_and_numbered_by_themselves():
    text = (
        "title,year,query,grade\n"
        "a,2001,Tie,no grade of data.grades\n"
        "b,,hat,\n"
        "A ,2001,tie,\n"  # a pair again, in other case
        " ,2001,hat,\n"
        "c,2001, ,\n"
        "A HAT,2001,shoes,\n"  # of the training split
        "c,2001,tie,\n"
    )
    record = run(unlabelled("more.csv", text))
    frame = UNLABELLED.read()
    assert [str(kind) for kind in frame.dtypes] == ["int64", "str", "str"]
    rows = [[0, "Tie", "a"], [1, "hat", "b"], [2, "shoes", "A HAT"], [0, "tie", "c"]]
    assert frame.to_numpy().tolist() == rows
    counts = {name: value for name, value in record.metrics.items() if name.startswith("unlabelled")}
    assert counts == {"unlabelled_pairs": 4, "unlabelled_rejected": 3, "unlabelled_in_train": 1}
    assert record.metrics["pairs_read"] == 8
    assert record.dataset == [paths.TRAIN, paths.DEV, paths.TEST, paths.UNLABELLED]
    assert files() == set(OUTPUTS)


def test_of_one_pair_again_and_again_one_is_kept():
    metrics = run(unlabelled("more.tsv", "query\ttitle\n" + "tie\tties\n" * 5)).metrics
    assert (metrics["unlabelled_pairs"], metrics["unlabelled_rejected"]) == (1, 4)


def test_the_splits_do_not_depend_on_the_pairs_without_grades():
    run(own(GIVEN, split="part"))
    before = [path.read_bytes() for path in (paths.TRAIN, paths.DEV, paths.TEST, paths.REJECTED)]
    empty = UNLABELLED.read()
    assert (len(empty), empty.columns.tolist()) == (0, ["query_id", "query", "title"])
    run(unlabelled("more.tsv", "query\ttitle\nx\ty\n"))
    assert [path.read_bytes() for path in (paths.TRAIN, paths.DEV, paths.TEST, paths.REJECTED)] == before


WRONG_UNLABELLED = {
    "no title column": ("more.csv", "query,name\na,b\n", r"data/raw/more.csv, line 1: no column 'title'; found"),
    "no records": ("more.csv", "query,title\n", r"more.csv holds no records; give it pairs or fix data.unlabelled"),
    "all empty": ("more.tsv", "query\ttitle\n\tb\na\t \n", "more.tsv: all 2 pairs have an empty query or title"),
    "a list": ("more.jsonl", '{"query": "a", "title": ["b"]}', r"more.jsonl, line 1: \['b'\] is not text"),
    "ragged": ("more.csv", "query,title\na,b\na,b,c\n", "more.csv, line 3: 3 fields where the header has 2"),
}


@pytest.mark.parametrize(("name", "text", "said"), WRONG_UNLABELLED.values(), ids=WRONG_UNLABELLED)
def test_an_error_in_the_pairs_without_grades_comes_before_any_output(name, text, said):
    with pytest.raises(InputError, match=said):
        run(unlabelled(name, text))
    assert files() == set()


def test_a_table_of_pairs_without_grades_that_is_not_there():
    with pytest.raises(InputError, match=r"none\.csv is missing; put the table there or fix data\.unlabelled"):
        run(own(GIVEN, split="part", unlabelled="data/raw/none.csv"))
    assert files() == set()


@pytest.mark.parametrize(
    ("pairs", "caps", "said"),
    [
        ({"test": 450, "unlabelled": 0}, {}, []),
        (
            {"test": 1500, "unlabelled": 0},
            {},
            [
                "test has 1,500 pairs; group_ablation masks heads on at most 450 of them (group_ablation.max_pairs); "
                "all of them would take 3.3 times as long"
            ],
        ),
        (
            {"test": 300, "unlabelled": 200_000},
            {},
            [
                "unlabelled has 200,000 pairs; head_ablation masks heads on at most 1,500 of them "
                "(head_ablation.max_pairs); all of them would take 133 times as long"
            ],
        ),
        ({"test": 450, "unlabelled": 0}, {"head_ablation": 10**6, "group_ablation": 10**6}, []),
        (
            {"test": 9_000, "unlabelled": 0},
            {"head_ablation": 6_000, "group_ablation": 10_000},
            [
                "test has 9,000 pairs; head_ablation masks heads on at most 6,000 of them (head_ablation.max_pairs); "
                "all of them would take 1.5 times as long",
                "head_ablation masks heads on 6,000 pairs of test, which takes 4.0 times as long as on 1,500, the "
                "default of head_ablation.max_pairs",
                "group_ablation masks heads on 9,000 pairs of test, which takes 20 times as long as on 450, the "
                "default of group_ablation.max_pairs",
            ],
        ),
    ],
)
def test_what_the_caps_leave_out_and_what_raising_them_costs(pairs, caps, said):
    assert prepare.cost_notices(pairs, prepare.DEFAULT_CAPS | caps) == said


def test_the_default_caps_are_those_of_the_committed_params():
    values = params()
    given = {"head_ablation": values.head_ablation.max_pairs, "group_ablation": values.group_ablation.max_pairs}
    assert given == prepare.DEFAULT_CAPS


def test_the_notices_go_to_stderr(capsys):
    text = "query\ttitle\n" + "".join(f"q{number}\tt\n" for number in range(3000))
    run(unlabelled("more.tsv", text))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        "prepare: unlabelled has 3,000 pairs; head_ablation masks heads on at most 1,500 of them"
    )
    assert said.err.count("\n") == 1


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
