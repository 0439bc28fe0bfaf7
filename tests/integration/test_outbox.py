"""Runs that could not be sent at once: kept, completed by the next execution, and never in the way of others."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from pipeline import tracking
from pipeline.core.run_names import metric_name
from pipeline.tracking import execution, mlflow_client, outbox
from pipeline.tracking.run_record import RunRecord
from tests.support.shell import REPOSITORY
from tests.support.tracking import EXPERIMENT, report, runs, split


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
        assert list(outbox.pending()) == []
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    for name, run in stages.items():
        assert (run.info.status, run.data.metrics) == ("FINISHED", {metric_name(run.info.run_name, "pairs"): 5})
        kept = client.download_artifacts(run.info.run_id, "stage/metrics.json")
        assert Path(kept).read_text() == name


def test_a_database_that_cannot_be_opened_costs_seconds(project, params, capsys):
    Path("mlflow.db").unlink()
    Path("mlflow.db").mkdir()
    began = time.monotonic()
    with tracking.stage("prepare", params):
        pass
    assert time.monotonic() - began < 15
    assert capsys.readouterr().err.count("MLflow's database cannot be opened or written") == 1
    whole = "pipeline"  # the parent run's addition that closes it
    assert [run.name for run, _ in outbox.pending()] == ["embedded, generated en", "prepare", whole]


CUT_OFF = """
import os, signal
from pathlib import Path
from pipeline.core.run_names import metric_name
from pipeline.tracking import mlflow_writer
from pipeline import tracking
from pipeline.core.config import load_params
def cut(*_): os.kill(os.getpid(), signal.SIGKILL)
with tracking.stage("prepare", load_params()) as record:
    record.metrics["pairs"] = 5
    record.artifacts = [Path("reports/a.json"), Path("reports/b.json")]
    mlflow_writer._Writer._link_stages = cut
"""


def test_a_run_cut_off_while_it_was_sent_is_completed(project, params, monkeypatch):
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
    spool_folder = execution.tracking_folder() / "spool"
    abandoned = spool_folder / "old"
    abandoned.mkdir()
    (abandoned / outbox.LOCK_FILE).touch()
    os.utime(abandoned, (0, 0))
    with tracking.stage("publish", params):
        pass
    [parent], stages = split(runs(project))
    prepare = stages["prepare"]
    assert (parent.info.status, prepare.info.status, prepare.data.metrics) == (
        "FINISHED",
        "FINISHED",
        {"data/pairs": 5},
    )
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert [file.path for file in client.list_artifacts(prepare.info.run_id)] == ["a.json", "b.json"]
    assert list(spool_folder.iterdir()) == []


ENQUEUE = """
import os, signal
from pathlib import Path
from pipeline.core.run_names import metric_name
from pipeline.tracking import outbox
from pipeline.tracking.run_record import RunRecord
with outbox.enqueue(RunRecord("sent", "sent", "test", 1), Path.cwd()):
    print("locked", flush=True)
    signal.pause()
"""


def test_a_run_belongs_to_its_living_sender_and_is_taken_over_from_a_killed_one(project):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    sender = subprocess.Popen([sys.executable, "-c", ENQUEUE], env=environment, stdout=subprocess.PIPE, text=True)
    assert sender.stdout.readline() == "locked\n"
    assert outbox.is_queued("sent")
    assert list(outbox.pending()) == []
    sender.kill()
    sender.wait()
    assert [run.id for run, _ in outbox.pending()] == ["sent"]
    for _ in outbox.pending():  # and by one process only
        assert list(outbox.pending()) == []


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
        assert mlflow_client.is_unreachable(error) is expected


def test_a_damaged_record_holds_up_no_other(project, params):
    for name in ("0-cut", "1-other"):
        folder = execution.tracking_folder() / "spool" / name
        folder.mkdir(parents=True)
        (folder / outbox.RUN_FILE).write_text({"0-cut": "{", "1-other": '{"unknown": 1}'}[name])
    with outbox.enqueue(RunRecord("good", "good", EXPERIMENT, 2), project):
        pass
    with tracking.stage("publish", params):
        pass
    assert "good" in [run.info.run_name for run in runs(project)]


def test_a_run_that_found_no_space_is_not_marked_as_published(project, params, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outbox, "_copy", full)
    record = tracking.Record(artifacts=[report("reports/report.html")])
    tracking.publish(params, record, {})
    assert not tracking.is_published({})
    assert list((execution.tracking_folder() / "spool").iterdir()) == []


def test_a_refused_run_holds_up_no_other(project, params, capsys):
    for run in (
        RunRecord("refused", "bad", EXPERIMENT, 1, params={"no name at all: *": "1"}),
        RunRecord("accepted", "good", EXPERIMENT, 2),
    ):
        with outbox.enqueue(run, project):
            pass
    with tracking.stage("publish", params):
        pass
    assert [run.name for run, _ in outbox.pending()] == ["bad"]
    assert "refused the param no name at all: * of the run bad" in capsys.readouterr().err
    assert "good" in [run.info.run_name for run in runs(project)]


def run_execution(key, params, monkeypatch) -> None:
    """An execution of one stage with a file, whose outputs DVC removes before the next."""
    monkeypatch.setenv("PIPELINE_RUN_KEY", key)
    with tracking.stage("prepare", params) as record:
        record.metrics["pairs"] = 5
        record.artifacts = [report("reports/prepare/metrics.json", key)]
    with tracking.stage("publish", params):
        pass
    shutil.rmtree("reports")


def test_a_deleted_experiment_is_named_once_and_gets_all_when_it_is_restored(project, params, monkeypatch, capsys):
    run_execution("before", params, monkeypatch)
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    client.delete_experiment(experiment)
    mlflow_client.connect.cache_clear()  # the next execution is another process
    capsys.readouterr()
    for key in ("one later", "two later"):
        run_execution(key, params, monkeypatch)
        told = capsys.readouterr().err
        assert told.count("tracking: ") == 1
        assert "experiment 'test' was deleted; restore it, as " in told
        assert f"`MLFLOW_TRACKING_URI=sqlite:///{project}/mlflow.db mlflow experiments restore" in told
        assert f"--experiment-id {experiment}` does, or set run.experiment to another name" in told
    client.restore_experiment(experiment)
    monkeypatch.setenv("PIPELINE_RUN_KEY", "restored")
    with tracking.stage("publish", params):
        pass
    _, *stages = [run for run in runs(project) if run.info.run_name == "prepare"]
    assert [run.data.metrics for run in stages] == [{"data/pairs": 5}] * 2
    texts = [Path(client.download_artifacts(run.info.run_id, "prepare/metrics.json")).read_text() for run in stages]
    assert texts == ["one later", "two later"]
    assert list(outbox.pending()) == []


def test_the_outbox_drops_the_oldest_files_beyond_its_limit_and_no_values(project, params, monkeypatch, capsys):
    monkeypatch.setattr(outbox, "MAX_BYTES", 4000)
    for name in ("old", "new"):
        report(f"reports/{name}.bin", "x" * 3000)
        run = RunRecord(name, name, EXPERIMENT, 1, metrics={"pairs": 5.0}, artifacts=[f"reports/{name}.bin"])
        with outbox.enqueue(run, project):
            pass
    Path("mlflow.db").unlink()
    Path("mlflow.db").mkdir()  # nothing can be sent
    with tracking.stage("publish", params):
        pass
    kept = {run.name: (run.metrics, run.artifacts) for run, _ in outbox.pending()}
    assert kept == {"old": ({"pairs": 5.0}, []), "new": ({"pairs": 5.0}, ["reports/new.bin"])}
    assert "the files of its oldest runs, old, were dropped; their values still wait" in capsys.readouterr().err


def test_files_that_this_disk_refuses_wait_while_values_arrive(project, params, monkeypatch, capsys):
    Path("mlartifacts").write_text("in the way")
    run_execution("one", params, monkeypatch)
    told = capsys.readouterr().err
    assert told.count("tracking: ") == 1
    assert "MLflow answers, but refused the file reports/prepare/metrics.json of the run prepare" in told
    _, stages = split(runs(project))
    assert (stages["prepare"].info.status, stages["prepare"].data.metrics) == ("FINISHED", {"data/pairs": 5})
    assert stages["prepare"].data.tags["pipeline.waiting"] == "file"
    Path("mlartifacts").unlink()
    monkeypatch.setenv("PIPELINE_RUN_KEY", "two")
    with tracking.stage("publish", params):
        pass
    _, stages = split(runs(project))
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert Path(client.download_artifacts(stages["prepare"].info.run_id, "prepare/metrics.json")).read_text() == "one"
    assert "pipeline.waiting" not in stages["prepare"].data.tags
