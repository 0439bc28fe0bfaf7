"""Cleanup, on a real database with files beside it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import psutil
import pytest
from mlflow.entities import LoggedModelOutput, ViewType

from pipeline.cleanup import removal
from pipeline.cleanup.__main__ import main
from pipeline.core.errors import InputError
from pipeline.tracking import api, mlflow_writer
from pipeline.tracking.execution import Execution, write_state
from pipeline.tracking.run_record import PUBLISHED_TAG, RunRecord
from tests.support.tracking import run_of_record

EXPERIMENT = "pruned"


@pytest.fixture(autouse=True)
def own_experiment(project: Path) -> None:
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("experiment: head-analysis", f"experiment: {EXPERIMENT}"))


def publish(client: mlflow.MlflowClient, name: str, start: int, tuned: str | None = None) -> None:
    """A published pipeline with a report, that ran two stages; the first logged a model. `tuned`: that was cached."""
    whole = RunRecord(name, name, EXPERIMENT, start, status="FINISHED", end=start, tags={PUBLISHED_TAG: "true"})
    stages = {"finetune": f"finetune of {tuned or name}", "report": f"report of {name}"}
    for stage in stages if tuned is None else ["report"]:
        mlflow_writer.write_run(
            RunRecord(f"{name}-{stage}", stage, EXPERIMENT, start, name, "FINISHED", start), Path.cwd()
        )
    if tuned is None:
        log_model(client, run(client, f"{name}-finetune"))
    Path("report.html").write_text(name)
    ran = {stage: f"{name}-{stage}" for stage in stages if tuned is None or stage == "report"}
    mlflow_writer.write_run(replace(whole, stages=stages, ran=ran, artifacts=["report.html"]), Path.cwd())
    write_state(Path(f".tracking/published/here/{name}.json"), {"row": name})


def log_model(client: mlflow.MlflowClient, tuned: mlflow.entities.Run) -> None:
    """A logged model of one file."""
    model = client.create_logged_model(tuned.info.experiment_id, "model", tuned.info.run_id)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(tuned.info.run_id, [LoggedModelOutput(model.model_id, 0)])
    weights = Path(model.artifact_location) / "weights"
    weights.parent.mkdir(parents=True)
    weights.write_text("w" * 2**20)


def run(client: mlflow.MlflowClient, record_id: str) -> mlflow.entities.Run:
    return run_of_record(client, record_id, EXPERIMENT)


def experiment_id(client: mlflow.MlflowClient) -> str:
    return client.get_experiment_by_name(EXPERIMENT).experiment_id


def names(client: mlflow.MlflowClient) -> set[str]:
    """The records' ids of all runs, those that MLflow only marked as deleted included."""
    found = client.search_runs([experiment_id(client)], run_view_type=ViewType.ALL)
    return {run.data.tags["pipeline.row"] for run in found}


def cleaned(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cleanup", *arguments])
    return main()


def folders() -> set[str]:
    """Names of the folders that runs and models have below mlartifacts/."""
    return {path.name for path in Path("mlartifacts").rglob("*") if path.is_dir()} - {"artifacts", "models"}


def test_what_the_newest_pipelines_do_not_need_goes_with_its_files(client, monkeypatch, capsys):
    for start, name in enumerate(("first", "second", "third"), start=1000):
        publish(client, name, start)
    publish(client, "fourth", 2000, tuned="first")
    publish(client, "fifth", 3000, tuned="second")
    second, tuned, fifth = (run(client, name).info.run_id for name in ("second", "second-finetune", "fifth"))
    [model] = client.search_logged_models([experiment_id(client)], f"source_run_id = '{tuned}'")
    assert len(folders()) == 5 + 3 + 1  # parent runs, models, and the experiment's own

    assert cleaned(monkeypatch, "--keep", "1") == 0
    shown = capsys.readouterr().out
    assert "pipelines to remove: 3, with 6 stage runs, 2.0 MiB" in shown
    assert "nothing was removed" in shown
    assert len(folders()) == 5 + 3 + 1

    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 0
    assert names(client) == {"fifth", "fifth-report", "second", "second-finetune"}
    assert {second, fifth, model.model_id} < folders()
    assert len(folders()) == 2 + 1 + 1
    assert [version.run_id for version in client.search_model_versions()] == [tuned]
    assert len(client.search_logged_models([experiment_id(client)])) == 1
    assert "stage.report.run_id" not in run(client, "second").data.tags
    assert run(client, "fifth").data.tags["stage.finetune.run_id"] == tuned
    assert sorted(api.markers().values()) == ["fifth", "second"]

    capsys.readouterr()
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 0
    assert "pipelines to remove: 0, with 0 stage runs, 0.0 MiB" in capsys.readouterr().out


def test_what_is_named_or_running_stays_and_so_does_what_the_user_deleted(client, monkeypatch, capsys):
    running = Execution("still running", os.getpid(), psutil.Process().create_time())
    running.introduce(EXPERIMENT, 1000)
    for start, name in enumerate(("best", running.id, "trash", "newest"), start=1000):
        publish(client, name, start)
    client.set_registered_model_alias(EXPERIMENT, "best", "1")
    client.delete_run(run(client, "trash").info.run_id)
    before = names(client)
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 2
    assert "a pipeline is running" in capsys.readouterr().err
    assert names(client) == before
    running.forget()  # as at its end
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 0
    assert names(client) == {"best", "best-finetune", "trash", "newest", "newest-finetune", "newest-report"}
    assert client.get_model_version_by_alias(EXPERIMENT, "best").run_id == run(client, "best-finetune").info.run_id
    assert "trash" not in api.markers().values()


def interrupted(store: object, run_id: str) -> None:
    raise KeyboardInterrupt


def test_a_removal_cut_off_half_way_is_completed(client, monkeypatch):
    for start, name in enumerate(("old", "newest"), start=1000):
        publish(client, name, start)
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore, "_hard_delete_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cleaned(patch, "--keep", "1", "--yes")
    assert "old-finetune" in names(client)
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 0
    assert names(client) == {"newest", "newest-finetune", "newest-report"}


def test_what_the_disk_refuses_to_remove_ends_with_code_2(client, monkeypatch, capsys):
    """A run's files that were moved to another disk and left a link; once that is gone, the next removal goes on."""
    for start, name in enumerate(("first", "second"), start=1000):
        publish(client, name, start)
    kept = Path(run(client, "first").info.artifact_uri)
    kept.rename("moved")
    kept.symlink_to(Path("moved").resolve())
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"cleanup: {kept} cannot be removed (Cannot call rmtree on a symbolic link); remove it")
    assert said.count("\n") == 1
    kept.unlink()
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 0
    assert names(client) == {"second", "second-finetune", "second-report"}
    assert (Path("moved") / "report.html").read_text() == "first"


@pytest.mark.parametrize(
    ("refusal", "fix"),
    [
        (OSError(28, "No space left on device"), "the system names no file: look whether the disk is full"),
        (PermissionError(13, "Permission denied", "/x"), "'/x'; give yourself the right to read and write there"),
    ],
)
def test_what_the_machine_refuses_ends_with_code_2(refusal, fix, client, monkeypatch, capsys):
    def refuse(*arguments):
        raise refusal

    monkeypatch.setattr(removal, "prepare_cleanup", refuse)
    assert cleaned(monkeypatch, "--keep", "1") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"cleanup: [Errno {refusal.errno}] {refusal.strerror}")
    assert fix in said
    assert said.count("\n") == 1


def test_the_mark_of_a_run_that_waits_for_mlflow_stays(client, monkeypatch):
    publish(client, "newest", 1000)
    for name in ("waiting", "lost"):
        write_state(Path(f".tracking/published/here/{name}.json"), {"row": name})
    Path(".tracking/spool/1-waiting").mkdir(parents=True)
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 0
    assert sorted(api.markers().values()) == ["newest", "waiting"]


def test_the_cache_of_dvc_is_described_and_added_files_are_named_where_there_are_any(client, monkeypatch, capsys):
    publish(client, "newest", 1000)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True, capture_output=True)
    unused = Path(".dvc/cache/files/md5/60/b725f10c9c85c70d97880dfe8191b3")
    unused.parent.mkdir(parents=True)
    unused.write_bytes(b"a" * 2**20)
    assert cleaned(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "objects to remove from DVC's cache: 1, 1.0 MiB" in shown
    assert "dvc add" not in shown
    Path("pairs.tsv.dvc").touch()
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.com"]
    for command in (["git", "add", "pairs.tsv.dvc"], ["git", *identity, "commit", "-qm", "A table"]):
        subprocess.run(command, check=True)
    assert cleaned(monkeypatch) == 0
    assert "earlier versions of what you added with `dvc add`" in capsys.readouterr().out
    assert cleaned(monkeypatch, "--yes") == 0
    assert not unused.exists()


def test_the_help_has_a_line_for_each_option_and_no_markup(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        cleaned(monkeypatch, "--help")
    shown = capsys.readouterr().out
    assert "``" not in shown
    assert "--keep N    published pipelines to keep, 1 or more (default 20)" in shown
    assert "--yes " in shown


def test_what_no_branch_uses_leaves_the_cache_of_dvc(project):
    with pytest.raises(InputError, match=r"dvc gc failed: .*not inside of a DVC repository"):
        removal.dvc_gc()
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True, capture_output=True)
    unused = Path(".dvc/cache/files/md5/60/b725f10c9c85c70d97880dfe8191b3")
    unused.parent.mkdir(parents=True)
    unused.write_text("a\n")
    assert removal.unused_objects() == [unused.absolute()]
    assert unused.exists()
    removal.dvc_gc()
    assert not unused.exists()


@pytest.mark.parametrize("arguments", [["--keep", "0"], ["--keep", "-1"], ["--keep", "all"], ["--keep", "1", "x"]])
def test_wrong_arguments_are_refused(arguments, monkeypatch):
    with pytest.raises(SystemExit) as refused:
        cleaned(monkeypatch, *arguments)
    assert refused.value.code == 2


def test_a_server_that_does_not_answer_is_named_without_its_password(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    assert cleaned(monkeypatch, "--keep", "1") == 2
    refusal = capsys.readouterr().err
    assert "MLflow does not answer" in refusal
    assert "secret" not in refusal


def test_nothing_tracked_is_nothing_to_clean_up(project, monkeypatch, capsys):
    text = Path("params.yaml").read_text().replace(f"experiment: {EXPERIMENT}", "experiment: other-analysis")
    Path("params.yaml").write_text(text)
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 0
    Path("mlflow.db").unlink()
    assert cleaned(monkeypatch, "--keep", "1", "--yes") == 0
    assert capsys.readouterr().out == "experiment other-analysis has no run yet\n" * 2
    assert not Path("mlflow.db").exists()
