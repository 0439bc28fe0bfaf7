"""One run found in every place that keeps it: the working tree, git, a DVC experiment, DVC's cache, MLflow."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.compare.diff import diff_runs
from pipeline.compare.run_results import RESULT_FILES, STAGE_METRICS, find_run, run_in_folder
from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.core.run_names import run_metrics
from pipeline.stages.publish import finding_tags
from pipeline.tracking import mlflow_writer
from pipeline.tracking.run_record import RunRecord
from tests.support.shell import REPOSITORY

EXPERIMENT = "test"
STAGE_FILES = {"head_ablation": paths.HEADS, "attention": paths.LABELS, "report": paths.EXPLORER_DATA}


def command(*words: str) -> str:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def copy_run(folder: Path, seed: int) -> None:
    """The files that runs are compared by, as this repository's own run left them, but for the seed."""
    for path in RESULT_FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, folder / path)
    params = (folder / paths.PARAMS).read_text()
    (folder / paths.PARAMS).write_text(params.replace("seed: 13", f"seed: {seed}"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """Commits without a run, with a run of seed 1 in git, and of seed 2 with a table in DVC's cache; seed 3 saved."""
    folder = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in ("init", "config user.name n", "config user.email n@example.com"):
            command("git", *words.split())
        command("dvc", "init", "-q")
        Path("dvc.yaml").write_text("stages: {}\n")
        command("git", "commit", "-qm", "no run")
        copy_run(folder, seed=1)
        paths.EXPLORER_DATA.write_text("of seed 1")
        command("git", "add", ".")
        command("git", "commit", "-qm", "seed 1")
        copy_run(folder, seed=2)
        paths.EXPLORER_DATA.unlink()
        command("git", "rm", "-q", "--cached", str(paths.HEADS))
        command("dvc", "add", "-q", str(paths.HEADS))
        command("git", "add", ".")
        command("git", "commit", "-qm", "seed 2")
        copy_run(folder, seed=3)
        command("dvc", "exp", "save", "-q", "--name", "mine")
        copy_run(folder, seed=4)
    return folder


@pytest.mark.parametrize(("name", "seed"), [("HEAD~1", "1"), ("HEAD", "2"), ("mine", "3"), ("workspace", "4")])
def test_a_run_is_found_by_its_name(repository, monkeypatch, name, seed):
    monkeypatch.chdir(repository)
    found, expected = find_run(name), run_in_folder("the original", REPOSITORY)
    assert found.name == name
    assert found.params == {**expected.params, "run.seed": seed}
    assert (found.metrics, found.verdicts) == (expected.metrics, expected.verdicts)
    pd.testing.assert_frame_equal(found.heads, expected.heads)
    pd.testing.assert_frame_equal(found.labels, expected.labels)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("HEAD~2", "HEAD~2 has no params.yaml; name a run in which every stage finished"),
        ("HEAD~3", "'HEAD~3' names no run: neither 'workspace' nor a git revision .*dvc exp list"),
        ("abcdef0", "'abcdef0' names no run: .* MLflow run"),
        ("", "'' names no run"),
        ("-q", "'-q' names no run"),
    ],
)
def test_what_is_not_there_is_said(repository, monkeypatch, name, message):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("DVC_ROOT", str(repository))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match=message):
        find_run(name)
    assert not Path("mlflow.db").exists()


def test_a_table_that_no_cache_holds_is_said(repository, monkeypatch, tmp_path):
    clone = tmp_path / "clone"
    command("git", "clone", "-q", str(repository), str(clone))
    monkeypatch.chdir(clone)
    with pytest.raises(InputError, match=r"heads\.csv"):
        find_run("HEAD")


def test_an_explorer_is_found_with_its_run(repository, monkeypatch):
    monkeypatch.chdir(repository)
    assert find_run("HEAD~1").read_report(paths.EXPLORER_DATA) == b"of seed 1"
    assert find_run("HEAD").read_report(paths.EXPLORER_DATA) is None
    assert find_run("workspace").read_report(paths.EXPLORER_DATA) is None


def test_the_command_line_compares_two_of_them(repository, monkeypatch):
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    printed = command(sys.executable, "-m", "pipeline.compare", "HEAD~1", "mine", "--output", "page.html")
    assert re.search(r"run\.seed +1 +3\n", printed)
    assert "effects by the primary measure: 1.00." in printed
    assert "no explorer of both runs: reports/explorer.json of HEAD~1 is damaged" in printed
    assert "; mine has no reports/explorer.json; run" in printed
    assert (repository / "page.html").read_text().startswith("<!DOCTYPE html>")


def track(project: Path, params: dict[str, str]) -> str:
    """The repository's own run as publish and the stages write it; returns the id of the pipeline's row."""
    copy_run(project, seed=5)
    run = run_in_folder("original", project)
    paths.EXPLORER_DATA.write_text("its explorer")
    for stage, path in STAGE_FILES.items():
        mlflow_writer.write_run(
            RunRecord(f"its {stage}", stage, EXPERIMENT, 1000, "whole", "FINISHED", 2000, artifacts=[str(path)]),
            project,
        )
    whole = RunRecord(
        "whole", "mine", EXPERIMENT, 1000, status="FINISHED", end=2000, params=params, metrics=dict(run.metrics)
    )
    ran = {stage: f"its {stage}" for stage in STAGE_FILES}
    mlflow_writer.write_run(
        replace(whole, tags=finding_tags(paths.FINDINGS), stages=dict.fromkeys(ran, "f"), ran=ran), project
    )
    return row_id("whole")


def row_id(row: str) -> str:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    return client.search_runs([experiment], f"tags.`{mlflow_writer.RECORD_ID_TAG}` = '{row}'")[0].info.run_id


def test_a_tracked_run_is_the_run_in_the_working_tree(project):
    text = (REPOSITORY / paths.PARAMS).read_text().replace("groups: {}", "groups: {mine: [[0, 1], [2, 3]]}")
    copy_run(project, seed=5)
    flat = run_in_folder("x", project).params | {"group_ablation.groups": '{"mine": [[0, 1], [2, 3]]}'}
    run_id = track(project, dict(flat))
    paths.PARAMS.write_text(text.replace("seed: 13", "seed: 5"))
    for name in (run_id, run_id[:6]):
        found = diff_runs(find_run("workspace"), find_run(name))
        assert [len(frame) for frame in (found.params, found.labels, found.verdicts)] == [0, 0, 0]
        assert (found.metrics["difference"] == 0).all()
        assert len(found.metrics) == len(run_metrics({s: json.loads(p.read_text()) for s, p in STAGE_METRICS.items()}))
        assert (found.heads["difference"] == 0).all()
        assert len(found.heads) == 72
        assert find_run(name).read_report(paths.EXPLORER_DATA) == b"its explorer"
        assert find_run(name).read_report(paths.EXPLORER) is None
    with pytest.raises(InputError, match=f"is one stage's; name its parent run: {run_id}"):
        find_run(row_id("its attention"))
    with pytest.raises(InputError, match="2 MLflow runs begin"):
        _same_beginnings(run_id)


def _same_beginnings(run_id: str) -> None:
    """Ids are random: have a second row's begin as the first by writing into the database."""
    import sqlite3

    mlflow_writer.write_run(RunRecord("other", "other", EXPERIMENT, 1000), Path.cwd())
    twin = run_id[:20] + row_id("other")[20:]
    with sqlite3.connect("mlflow.db") as database:
        for table in ("runs", "tags"):
            database.execute(f"UPDATE {table} SET run_uuid = ? WHERE run_uuid = ?", (twin, row_id("other")))
    find_run(run_id[:20])


def test_a_run_that_failed_is_said_to_lack_its_results(project):
    mlflow_writer.write_run(RunRecord("failed", "failed", EXPERIMENT, 1000, status="FAILED", end=2000), project)
    missing = (
        "no metrics, no verdicts on the findings, no reports/head_ablation/heads.csv, no reports/attention/labels.csv"
    )
    with pytest.raises(InputError, match=rf"\(FAILED\) has {missing}"):
        find_run(row_id("failed"))


def test_a_server_that_is_down_is_said(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")  # the port of discard: nobody listens
    with pytest.raises(InputError, match="MLflow does not answer") as raised:
        find_run("0123456789abcdef0123456789abcdef")
    assert "secret" not in str(raised.value)


def test_a_database_elsewhere_is_not_created(project, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/absent.db")
    with pytest.raises(InputError, match="names no run"):
        find_run("0123456789abcdef0123456789abcdef")
    assert not (tmp_path / "absent.db").exists()
