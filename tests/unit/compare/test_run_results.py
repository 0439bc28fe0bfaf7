"""What is read of a run: names and values worked by hand, and damage told by run and file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.compare.run_results import STAGE_METRICS, read_run, summary_lines
from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.core.run_names import METRIC_PREFIXES, run_metrics
from pipeline.stats.measure_sets import RANKER
from tests.support.shell import REPOSITORY

CHANGE = "relative_accuracy_change"
COLUMNS = f"layer,head,{CHANGE},{CHANGE}_low,{CHANGE}_high,qwk_to_constant,verdict"
HEADS = f"{COLUMNS}\n0,0,-0.25,-0.5,-0.125,0.5,needed\n0,1,0,-0.25,0.25,0,no effect\n".encode()
LABELS = b"layer,head,function,score,is_labelled\n0,0,term_match,0.5,True\n0,1,term_match,0.1,False\n"


def run_files() -> dict:
    files = dict.fromkeys(STAGE_METRICS.values(), b"{}")
    files[paths.stage_metrics("finetune")] = b'{"test_accuracy": 0.8, "test_spearman": null, "undefined": {"a": 1}}'
    files[paths.PARAMS] = (
        b"run: {seed: 13, device: auto}\ndata: {grades: ['1', '2']}\nablation: {primary_measure: qwk}\n"
    )
    files[paths.FINDINGS] = json.dumps([{"id": "F3", "verdict": "agrees"}]).encode()
    return files | {paths.HEADS: HEADS, paths.LABELS: LABELS}


def test_an_outcome_holds_what_the_files_say():
    outcome = read_run("mine", run_files().get)
    run = {"run.seed": "13", "run.device": "auto", "data.grades": '["1", "2"]'}
    assert outcome.params == run | {"ablation.primary_measure": "qwk"}
    assert outcome.metrics == {"grading/test_accuracy": 0.8}
    assert outcome.heads.to_numpy().tolist() == [
        [0, 0, -0.25, -0.5, -0.125, 0.5, "needed"],
        [0, 1, 0.0, -0.25, 0.25, 0, "no effect"],
    ]
    assert outcome.labels.to_numpy().tolist() == [[0, 0, "term_match"]]
    assert outcome.verdicts == {"F3": "agrees"}


RANKER_HEADS = HEADS.replace(b"accuracy", b"ndcg_at_10").replace(b"qwk", b"pairwise_log_loss")


def test_a_rankers_effects_are_those_of_its_measures():
    files = run_files() | {paths.HEADS: RANKER_HEADS}
    files[paths.PARAMS] = b"finetune: {objective: listwise}\nablation: {primary_measure: default}\n"
    run = read_run("mine", files.get)
    assert run.measures is RANKER
    assert run.heads.to_numpy().tolist()[0] == [0, 0, -0.25, -0.5, -0.125, 0.5, "needed"]
    assert list(run.heads) == ["layer", "head", "change", "change_low", "change_high", "to_constant", "verdict"]


def test_a_primary_measure_of_the_other_kind_is_named():
    files = run_files() | {paths.HEADS: RANKER_HEADS}
    files[paths.PARAMS] = b"finetune: {objective: listwise}\nablation: {primary_measure: qwk}\n"
    with pytest.raises(InputError, match=r"ablation\.primary_measure is 'qwk', which a ranker does not have"):
        read_run("mine", files.get)


def test_metrics_have_the_prefix_of_their_stage():
    stages = {
        "prepare": {"pairs": 3, "empty": None},
        "finetune": {"pairs": 4, "test_qwk": 0.5, "undefined": {"x": "-"}},
        "report": {"heads": 72, "report": "reports/report.html"},
    }
    expected = {"data/pairs": 3, "data/empty": None, "grading/pairs": 4, "grading/test_qwk": 0.5, "headline/heads": 72}
    assert run_metrics(stages) == expected


def test_every_stage_that_measures_has_a_prefix_of_its_own():
    assert set(STAGE_METRICS) == set(METRIC_PREFIXES)
    assert len(set(METRIC_PREFIXES.values())) == len(METRIC_PREFIXES)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (paths.HEADS, None, "mine has no reports/head_ablation/heads.csv"),
        (paths.FINDINGS, b"[{", "reports/findings.json of mine is damaged"),
        (paths.PARAMS, b"a: [", "params.yaml of mine is damaged"),
    ],
)
def test_what_is_missing_or_damaged_is_named(path, content, message):
    files = run_files() | {path: content}
    with pytest.raises(InputError, match=message):
        read_run("mine", files.get)


def test_a_run_from_before_a_stage_was_added_has_none_of_its_metrics():
    files = run_files()
    del files[paths.stage_metrics("dependency")]
    assert read_run("older", files.get).metrics == {"grading/test_accuracy": 0.8}


def test_a_table_of_another_version_is_named():
    files = run_files() | {paths.HEADS: b"layer,head,accuracy\n0,0,0.5\n"}
    with pytest.raises(InputError, match=r"reports/head_ablation/heads.csv of mine is damaged, or of another version"):
        read_run("mine", files.get)


LINES = [
    "test accuracy  80.0%, BiLSTM 75.0%",
    "needed heads   1 of 2: 0.0 (layer.head, from 0)",
    "harmful heads  0",
    "findings       1 agree, 0 cannot tell, 0 differ",
    "report         reports/report.html",
    "compare runs   make ui",
]


@pytest.fixture
def finished_folder(tmp_path: Path) -> Path:
    headline = {"test_accuracy": 0.8, "bilstm_test_accuracy": 0.75, "heads": 2, "needed_heads": 1, "harmful_heads": 0}
    headline |= {"agrees": 1, "differs": 0, "cannot_tell": 0, "report": "reports/report.html"}
    files = run_files() | {paths.HEADLINE: json.dumps(headline).encode()}
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return tmp_path


def test_a_run_in_six_lines(finished_folder):
    assert summary_lines(finished_folder) == LINES


@pytest.mark.parametrize(("bilstm", "peers"), [(0.9, "0.950, BiLSTM 0.900, BM25 0.712"), (None, "0.950, BM25 0.712")])
def test_a_ranker_in_six_lines(finished_folder, bilstm, peers):
    headline = {"test_ndcg_at_10": 0.95, "bilstm_test_ndcg_at_10": bilstm, "bm25_test_ndcg_at_10": 0.7123}
    headline |= {"heads": 2, "needed_heads": 1, "harmful_heads": 0, "report": "reports/report.html"}
    headline |= {"agrees": 1, "differs": 0, "cannot_tell": 0, "not_judged": 2}
    (finished_folder / paths.HEADLINE).write_text(json.dumps(headline))
    (finished_folder / paths.HEADS).write_bytes(RANKER_HEADS)
    lines = summary_lines(finished_folder)
    assert lines[0] == f"test nDCG@10   {peers}"
    assert lines[3] == "findings       1 agree, 0 cannot tell, 0 differ, 2 not judged"
    assert lines[1:3] + lines[4:] == LINES[1:3] + LINES[4:]


def test_many_needed_heads_are_named_in_part(finished_folder):
    rows = [f"3,{head},-0.1,needed" for head in range(14)]
    (finished_folder / paths.HEADS).write_text("\n".join(["layer,head,relative_accuracy_change,verdict", *rows]))
    assert ": 3.0, 3.1, " in summary_lines(finished_folder)[1]
    assert summary_lines(finished_folder)[1].endswith("3.11 and 2 more (layer.head, from 0)")


@pytest.mark.parametrize("path", [paths.HEADS, paths.HEADLINE])
def test_a_run_that_did_not_finish_has_no_such_lines(finished_folder, path):
    (finished_folder / path).unlink()
    assert summary_lines(finished_folder) == []


def test_the_lines_need_nothing_that_is_slow_to_import(finished_folder):
    script = (
        "import sys\n"
        "from pipeline.compare.run_results import summary_lines\n"
        "print(*summary_lines(), *(sys.modules.keys() & {'mlflow', 'pandas', 'numpy', 'torch'}), sep='\\n')"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=finished_folder, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == LINES
