"""Tracking against MLflow itself: runs read back through its own client, from real databases."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from pipeline import tracking
from pipeline.__main__ import main
from pipeline.core import process
from pipeline.core.errors import InputError
from pipeline.tracking import execution, mlflow_client, mlflow_writer, outbox, provenance
from pipeline.tracking.run_record import RunRecord, declared_params
from tests.conftest import WRITERS
from tests.support.shell import REPOSITORY
from tests.support.tracking import EXPERIMENT, report, runs, split


def test_six_processes_on_a_fresh_database(written_at_once):
    found = runs(written_at_once, "head-analysis")
    parents, _ = split(found)
    assert len(parents) == WRITERS
    children = [run for run in found if run not in parents]
    assert [run.info.status for run in children] == ["FINISHED"] * WRITERS
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {run.info.run_id for run in parents}


def test_two_stages_of_one_execution_share_a_parent_run(project, params):
    with tracking.stage("prepare", params) as record:
        record.metrics = {"train_pairs": 7, "test_qwk": None, "dev_spearman": float("nan")}
        [parent] = runs(project)  # there before the stage is done
        assert (parent.info.status, parent.data.params["finetune.learning_rate"]) == ("RUNNING", "0.0001")
    parent, _ = runs(project)
    assert parent.info.status == "FINISHED"  # closed, as no stage may follow
    assert parent.data.tags["mlflow.note.content"].endswith("ended before the stage publish. Finished: prepare.")
    with tracking.stage("finetune", params) as record:
        assert runs(project)[0].info.status == "RUNNING"  # open again
        record.curve = [("dev_qwk", 0.1, 1), ("dev_qwk", 0.4, 2)]
        record.artifacts = [report("reports/finetune/metrics.json", "{}"), Path("reports/finetune/absent.csv")]
    [parent], stages = split(runs(project))
    assert list(stages) == ["prepare", "finetune"]
    assert {run.data.tags["mlflow.parentRunId"] for run in stages.values()} == {parent.info.run_id}
    assert {run.info.status for run in stages.values()} == {"FINISHED"}
    assert stages["prepare"].data.metrics == {"data/train_pairs": 7}
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    finetune = stages["finetune"].info.run_id
    assert [(point.step, point.value) for point in client.get_metric_history(finetune, "grading/dev_qwk")] == [
        (1, 0.1),
        (2, 0.4),
    ]
    assert Path(client.download_artifacts(finetune, "finetune/metrics.json")).read_text() == "{}"


def test_a_stage_connects_once(project, params, monkeypatch):
    opened, open_client = [], mlflow_client._open
    monkeypatch.setattr(mlflow_client, "_open", lambda uri: opened.append(uri) or open_client(uri))
    with tracking.stage("prepare", params) as record:
        record.metrics = {"train_pairs": 7}
        record.artifacts = [report("reports/prepare/metrics.json", "{}")]
    assert opened == [f"sqlite:///{project}/mlflow.db"]


def test_a_failing_stage_fails_its_parent_run(project, params):
    def prepare():
        with tracking.stage("prepare", params) as record:
            record.metrics["lines"] = 3
            raise InputError("data/raw/x.csv: no such file")

    with pytest.raises(InputError, match="no such file"):
        prepare()
    [parent], stages = split(runs(project))
    assert parent.info.status == stages["prepare"].info.status == "FAILED"
    assert parent.info.end_time is not None
    assert parent.data.tags["error"] == "prepare: InputError: data/raw/x.csv: no such file"
    assert stages["prepare"].data.metrics == {"data/lines": 3}


def test_bad_params_open_no_run(project, monkeypatch, capsys):
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("max_epochs: ", "max_epoks: "))
    monkeypatch.setattr(sys, "argv", ["pipeline", "prepare"])
    monkeypatch.setattr(process, "raise_on_sigterm", lambda: None)  # pytest's own process goes on
    before = len(runs(project, "head-analysis"))
    assert main() == 2
    assert "epoks" in capsys.readouterr().err
    assert len(runs(project, "head-analysis")) == before
    assert not (project / ".tracking/executions").exists()


def test_a_failure_that_quotes_half_a_surrogate_pair_is_kept(project, params):
    def prepare():
        with tracking.stage("prepare", params):
            raise InputError("line 3: \ud83d is no text")

    with pytest.raises(InputError):
        prepare()
    _, stages = split(runs(project))
    assert stages["prepare"].data.tags["error"] == "InputError: line 3: ? is no text"
    assert list(outbox.pending()) == []


def test_what_is_damaged_is_passed_over_or_named(project, params, tmp_path):
    current = execution.current()
    current.note("prepare", id="1", status="FINISHED")
    (current.folder / "stages" / "finetune.json").write_text("{")
    assert list(current.notes()) == ["prepare"]
    broken = tmp_path / "broken.yaml"
    for text in ("stages: [", "[]", "stages: 3"):
        broken.write_text(text)
        assert declared_params({"a.b": "1"}, "prepare", broken) == {"a.b": "1"}
        with pytest.raises(InputError, match=r"broken.yaml is damaged; restore it: git checkout"):
            provenance.read_lock(broken)


def test_a_record_written_twice_is_the_same_run(project):
    pd.DataFrame({"query": ["a"], "grade": [1]}).to_parquet("train.parquet")
    report("reports/x/table.csv", "a\n1\n")
    record = RunRecord("some-id", "prepare", EXPERIMENT, 1000, parent="its-pipeline", status="FINISHED", end=3500)
    record = replace(record, params={"a.b": "1"}, metrics={"ndcg@10": 0.5}, curve=[("loss", 1.0, 1), ("loss", 0.5, 2)])
    record = replace(record, artifacts=["reports/x"], dataset=["train.parquet"], tags={"finding.F1": "agrees"})
    mlflow_writer.write_run(record, project)
    once = {run.info.run_name: run.to_dictionary() for run in runs(project)}
    mlflow_writer.write_run(record, project)
    assert {run.info.run_name: run.to_dictionary() for run in runs(project)} == once
    [parent], stages = split(runs(project))
    run = stages["prepare"]
    assert (run.info.start_time, run.info.end_time, run.data.metrics["ndcg_10"]) == (1000, 3500, 0.5)
    assert [item.dataset.name for item in run.inputs.dataset_inputs] == ["train"]
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [1.0, 0.5]
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_the_next_execution_closes_what_ended_open(project, params, monkeypatch):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    for key, status in (("fine", "FINISHED"), ("cut", "RUNNING")):
        left = execution.Execution(key, int(ended.stdout), 1.0)
        mlflow_writer.write_run(RunRecord(left.id, key, EXPERIMENT, 1000), project)
        left.introduce(EXPERIMENT, 1000)
        left.note("prepare", id=f"{key}-prepare", status=status, start=1000, end=2000)
    running = execution.current()
    running.introduce(EXPERIMENT, 1000)
    monkeypatch.setenv("PIPELINE_RUN_KEY", "later")
    with tracking.stage("publish", params):
        pass
    parents, stages = split(runs(project))
    assert {run.info.run_name: run.info.status for run in parents} == {"fine": "FINISHED", "cut": "KILLED"}
    assert stages["prepare"].info.status == "KILLED"
    assert [other.key for other in execution.others(execution.current())] == ["one"]


def test_artifacts_open_after_the_project_moved(project, params, monkeypatch):
    with tracking.stage("report", params) as record:
        record.artifacts = [report("reports/figures/heads.svg", "<svg/>"), report("reports/report.html", "<p>")]
    moved = project.rename(project.with_name("elsewhere"))
    monkeypatch.chdir(moved)
    _, stages = split(runs(moved))
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    run_id = stages["report"].info.run_id
    assert Path(client.download_artifacts(run_id, "figures/heads.svg")).read_text() == "<svg/>"
    assert [file.path for file in client.list_artifacts(run_id)] == ["figures", "report.html"]


def test_an_experiments_copy_writes_to_the_original(project, params, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    with tracking.stage("report", params) as record:
        record.artifacts = [report("reports/report.html")]
    _, stages = split(runs(project))
    assert (project / stages["report"].info.artifact_uri / "report.html").exists()
    assert sorted(os.listdir(copy)) == ["reports"]


def test_the_model_loads_and_scores_a_pair(project, params, monkeypatch):
    import torch
    from transformers import AutoTokenizer

    from tests.support.builders import save_checkpoint

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")  # log_model changes it
    model = save_checkpoint(Path("data/model"))
    with tracking.stage("finetune", params) as record:
        record.model = Path("data/model")
    _, stages = split(runs(project))
    [logged] = stages["finetune"].outputs.model_outputs
    loaded = mlflow.transformers.load_model(f"models:/{logged.model_id}")
    encoded = AutoTokenizer.from_pretrained("data/model")("red hat", "hat", return_tensors="pt")
    expected = torch.softmax(model.eval()(**encoded).logits[0], -1).tolist()
    scores = sorted(loaded({"text": "red hat", "text_pair": "hat"}, top_k=None), key=lambda score: score["label"])
    assert [score["score"] for score in scores] == pytest.approx(expected, abs=1e-6)
    assert stages["finetune"].info.status == "FINISHED"
    assert not [path for path in (project / "mlartifacts").rglob("*") if path.suffix in (".bin", ".pkl", ".pt")]


def test_stages_below_one_dvc_share_its_key(tmp_path):
    show = "from pipeline.tracking.execution import current; print(current().key)"
    dvc = tmp_path / "dvc"
    dvc.write_text(
        f"import subprocess, sys\nfor _ in '12': subprocess.run([sys.executable, '-c', {show!r}], check=True)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PIPELINE_RUN_KEY"}
    command = [sys.executable, str(dvc), "repro"]
    environment["PYTHONPATH"] = str(REPOSITORY)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    first, second = process.communicate(timeout=60)[0].split()
    assert first == second
    assert f"-{process.pid}-" in first
