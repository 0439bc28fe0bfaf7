"""Tracking against MLflow itself: rows read back through its own client, from real databases."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import requests
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from pipeline import tracking
from pipeline.errors import InputError
from pipeline.params import load_params
from pipeline.tracking import connection, execution, fingerprint, spool, store
from pipeline.tracking.record import Row, declared, flattened
from tests.conftest import REPOSITORY, WRITERS

EXPERIMENT = "test"


@pytest.fixture
def params(project):
    params = load_params()
    return params.model_copy(update={"base": params.base.model_copy(update={"experiment": EXPERIMENT})})


def runs(folder: Path, experiment: str = EXPERIMENT) -> list[Run]:
    """All runs of the experiment, oldest first."""
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id], order_by=["start_time", "run_id"]) if found else []


def split(found: list[Run]) -> tuple[list[Run], dict[str, Run]]:
    """The pipelines' rows, and the stages' runs by name."""
    parents = [run for run in found if run.data.tags["pipeline.kind"] == "pipeline"]
    return parents, {run.info.run_name: run for run in found if run not in parents}


def report(path: str, text: str = "x") -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return Path(path)


def test_six_processes_on_a_fresh_database(written_at_once):
    found = runs(written_at_once, "head-analysis")
    parents, _ = split(found)
    assert len(parents) == WRITERS
    children = [run for run in found if run not in parents]
    assert [run.info.status for run in children] == ["FINISHED"] * WRITERS
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {run.info.run_id for run in parents}


def test_two_stages_of_one_execution_share_a_row(project, params):
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
    assert stages["prepare"].data.metrics == {"train_pairs": 7}
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    finetune = stages["finetune"].info.run_id
    assert [(point.step, point.value) for point in client.get_metric_history(finetune, "dev_qwk")] == [
        (1, 0.1),
        (2, 0.4),
    ]
    assert Path(client.download_artifacts(finetune, "finetune/metrics.json")).read_text() == "{}"


def test_a_failing_stage_fails_its_row(project, params):
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
    assert stages["prepare"].data.metrics == {"lines": 3}


def test_a_failure_that_quotes_half_a_surrogate_pair_is_kept(project, params):
    def prepare():
        with tracking.stage("prepare", params):
            raise InputError("line 3: \ud83d is no text")

    with pytest.raises(InputError):
        prepare()
    _, stages = split(runs(project))
    assert stages["prepare"].data.tags["error"] == "InputError: line 3: ? is no text"
    assert list(spool.waiting()) == []


def test_what_is_damaged_is_passed_over_or_named(project, params, tmp_path):
    current = execution.current()
    current.note("prepare", id="1", status="FINISHED")
    (current.folder / "stages" / "finetune.json").write_text("{")
    assert list(current.notes()) == ["prepare"]
    broken = tmp_path / "broken.yaml"
    for text in ("stages: [", "[]", "stages: 3"):
        broken.write_text(text)
        assert declared({"a.b": "1"}, "prepare", broken) == {"a.b": "1"}
        with pytest.raises(InputError, match=r"broken.yaml is damaged; restore it: git checkout"):
            fingerprint.read_lock(broken)


def test_a_row_written_twice_is_the_same_run(project):
    pd.DataFrame({"query": ["a"], "grade": [1]}).to_parquet("train.parquet")
    report("reports/x/table.csv", "a\n1\n")
    row = Row("some-id", "prepare", EXPERIMENT, 1000, parent="its-pipeline", status="FINISHED", end=3500)
    row = replace(row, params={"a.b": "1"}, metrics={"ndcg@10": 0.5}, curve=[("loss", 1.0, 1), ("loss", 0.5, 2)])
    row = replace(row, artifacts=["reports/x"], dataset=["train.parquet"], tags={"finding.F1": "agrees"})
    store.write(row, project)
    once = {run.info.run_name: run.to_dictionary() for run in runs(project)}
    store.write(row, project)
    assert {run.info.run_name: run.to_dictionary() for run in runs(project)} == once
    [parent], stages = split(runs(project))
    run = stages["prepare"]
    assert (run.info.start_time, run.info.end_time, run.data.metrics["ndcg_10"]) == (1000, 3500, 0.5)
    assert [item.dataset.name for item in run.inputs.dataset_inputs] == ["train"]
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [1.0, 0.5]
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_no_server_costs_seconds_and_loses_nothing(project, params, monkeypatch, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening: connections are refused
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{unused.getsockname()[1]}")
        began = time.monotonic()
        for name in ("prepare", "finetune"):
            with tracking.stage(name, params) as record:
                record.metrics["pairs"] = 5
                record.artifacts = [report("reports/stage/metrics.json", name)]
        assert time.monotonic() - began < 15
    assert capsys.readouterr().err.count("does not answer") == 1
    shutil.rmtree("reports")  # as DVC does before the stage's next run
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for key in ("two", "three"):  # what the first writes, the second does not write again
        monkeypatch.setenv("PIPELINE_RUN_KEY", key)
        with tracking.stage("publish", params):
            pass
        parents, stages = split(runs(project))
        assert [run.info.run_name for run in parents] == ["embedded, generated en"]
        assert sorted(stages) == ["finetune", "prepare"]
        assert list(spool.waiting()) == []
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    for name, run in stages.items():
        assert (run.info.status, run.data.metrics) == ("FINISHED", {"pairs": 5})
        kept = client.download_artifacts(run.info.run_id, "stage/metrics.json")
        assert Path(kept).read_text() == name


def test_a_database_that_cannot_be_opened_costs_seconds(project, params, capsys):
    Path("mlflow.db").unlink()
    Path("mlflow.db").mkdir()
    began = time.monotonic()
    with tracking.stage("prepare", params):
        pass
    assert time.monotonic() - began < 15
    assert capsys.readouterr().err.count("does not answer") == 1
    whole = "pipeline"  # the row's addition that closes it
    assert [entry.row.name for entry in spool.waiting()] == ["embedded, generated en", "prepare", whole]


CUT_OFF = """
import os, signal
from pathlib import Path
from pipeline.tracking import store
from pipeline import tracking
from pipeline.params import load_params
def cut(*_): os.kill(os.getpid(), signal.SIGKILL)
with tracking.stage("prepare", load_params()) as record:
    record.metrics["pairs"] = 5
    record.artifacts = [Path("reports/a.json"), Path("reports/b.json")]
    store._Store._log_dataset = cut
"""


def test_a_row_cut_off_while_it_was_sent_is_completed(project, params, monkeypatch):
    report("reports/a.json")
    report("reports/b.json")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("experiment: head-analysis", f"experiment: {EXPERIMENT}"))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    del environment["PIPELINE_RUN_KEY"]  # so that the execution is the process itself
    done = subprocess.run([sys.executable, "-c", CUT_OFF], env=environment, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert {run.info.status for run in runs(project)} == {"RUNNING"}
    shutil.rmtree("reports")  # as DVC does before the stage's next run
    spool_folder = execution.state() / "spool"
    abandoned = spool_folder / f"{spool.UNFINISHED}old"
    abandoned.mkdir()
    os.utime(abandoned, (0, 0))
    with tracking.stage("publish", params):
        pass
    [parent], stages = split(runs(project))
    prepare = stages["prepare"]
    assert (parent.info.status, prepare.info.status, prepare.data.metrics) == ("FINISHED", "FINISHED", {"pairs": 5})
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert [file.path for file in client.list_artifacts(prepare.info.run_id)] == ["a.json", "b.json"]
    assert list(spool_folder.iterdir()) == []


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("from the server", response=response)


@pytest.mark.parametrize(
    ("error", "beside_a_server", "with_a_file"),
    [
        (answered(413), False, False),  # this upload is too large; others may not be
        (answered(503), True, True),
        (answered(403), True, True),
        (requests.ConnectionError("refused"), True, True),
        (PermissionError(13, "Permission denied"), False, True),
        (MlflowException("no name", error_code=INVALID_PARAMETER_VALUE), False, False),
        (KeyError("x"), False, False),
    ],
)
def test_what_counts_as_no_answer(error, beside_a_server, with_a_file, monkeypatch):
    for uri, expected in (("http://127.0.0.1:1", beside_a_server), ("sqlite:///x.db", with_a_file)):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert connection.is_unreachable(error) is expected


def test_a_damaged_record_holds_up_no_other(project, params):
    for name in ("0-cut", "1-other"):
        folder = execution.state() / "spool" / name
        folder.mkdir(parents=True)
        (folder / spool.ROW).write_text({"0-cut": "{", "1-other": '{"unknown": 1}'}[name])
    with spool.keeping(Row("good", "good", EXPERIMENT, 2), project):
        pass
    with tracking.stage("publish", params):
        pass
    assert "good" in [run.info.run_name for run in runs(project)]


def test_a_row_that_found_no_place_is_not_marked_as_published(project, params, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "_copy", full)
    record = tracking.Record(artifacts=[report("reports/report.html")])
    tracking.publish(params, record, {})
    assert not tracking.is_published({})
    assert list((execution.state() / "spool").iterdir()) == []


def test_a_refused_row_holds_up_no_other(project, params, capsys):
    for row in (
        Row("refused", "bad", EXPERIMENT, 1, params={"no name at all: *": "1"}),
        Row("accepted", "good", EXPERIMENT, 2),
    ):
        with spool.keeping(row, project):
            pass
    with tracking.stage("publish", params):
        pass
    assert [entry.row.name for entry in spool.waiting()] == ["bad"]
    assert "bad was refused" in capsys.readouterr().err
    assert "good" in [run.info.run_name for run in runs(project)]


def test_the_next_execution_closes_what_ended_open(project, params, monkeypatch):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    for key, status in (("fine", "FINISHED"), ("cut", "RUNNING")):
        left = execution.Execution(key, int(ended.stdout), 1.0)
        store.write(Row(left.id, key, EXPERIMENT, 1000), project)
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

    from tests.tiny import save_checkpoint

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


def test_params_are_flat_and_declared(project, params, tmp_path):
    flat = flattened(params)
    assert flat["data.columns.split"] == "null"
    assert flat["data.grades"] == '["1", "2", "3", "4", "5"]'
    assert flat["group_ablation.groups"] == "{}"
    pipeline = tmp_path / "dvc.yaml"
    pipeline.write_text(json.dumps({"stages": {"finetune": {"params": ["base.seed", "model.scratch"]}}}))
    chosen = declared(flat, "finetune", pipeline)
    assert list(chosen) == [
        "base.seed",
        *(f"model.scratch.{key}" for key in ("layers", "heads", "hidden", "vocabulary")),
    ]
    assert declared(flat, "other", pipeline) == flat


def lock(**changes):
    entry = {
        "cmd": "python -m pipeline finetune",
        "deps": [{"path": "data/prepared", "md5": "aa.dir"}, {"path": "pipeline/params.py", "md5": "bb"}],
        "params": {"params.yaml": {"finetune.epochs": 2}},
        "outs": [{"path": "data/model", "md5": "cc.dir"}, {"path": "reports/finetune/metrics.json", "md5": "dd"}],
    }
    return {"finetune": entry | changes}


def test_a_fingerprint_follows_what_goes_into_a_stage():
    known = fingerprint.stage_fingerprints(lock())["finetune"]
    changes = [
        {"cmd": "python -m pipeline other"},
        {"deps": [{"path": "data/prepared", "md5": "ab.dir"}, {"path": "pipeline/params.py", "md5": "bb"}]},
        {"params": {"params.yaml": {"finetune.epochs": 3}}},
    ]
    assert len({known, *(fingerprint.stage_fingerprints(lock(**change))["finetune"] for change in changes)}) == 4
    assert fingerprint.stage_fingerprints(lock(outs=[]))["finetune"] == known
    turned = lock(deps=lock()["finetune"]["deps"][::-1])
    assert fingerprint.stage_fingerprints(turned)["finetune"] == known


def test_outputs_are_known_by_their_hash(project):
    assert fingerprint.output_fingerprint(lock(), Path("data/model")) is not None
    assert fingerprint.output_fingerprint(lock(), Path("data/mod")) is None
    digests = fingerprint.file_digests([report("reports/finetune/metrics.json", "hello"), Path("reports")])
    assert digests == {"reports/finetune/metrics.json": "5d41402abc4b2a76b9719d911017c592"}
    assert not fingerprint.wrote(lock()["finetune"], digests)
    assert fingerprint.wrote(lock()["finetune"], {"reports/finetune/metrics.json": "dd"})
    assert not fingerprint.wrote(lock()["finetune"], {})
