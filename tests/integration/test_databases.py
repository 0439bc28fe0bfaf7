"""The project's MLflow database: where it lies, and what is said where it cannot be used."""

import os
import sqlite3
import sys
from pathlib import Path

import pytest

from pipeline import tracking
from pipeline.cleanup import __main__ as cleanup
from pipeline.core.config import Params
from pipeline.tracking import mlflow_client, outbox
from tests.support.shell import REPOSITORY, run_stage_command
from tests.support.tracking import report, runs


def track(params: Params, pairs: int = 3) -> None:
    with tracking.stage("prepare", params) as record:
        record.metrics["pairs"] = pairs
        record.artifacts.append(report("reports/prepare/metrics.json", "{}"))


# A process of its own: MLflow keeps what it opened under an address, and these are relative to the working folder.
TRACK_AND_READ = """
from pathlib import Path
from pipeline.core.config import load_params
from pipeline.tracking import mlflow_client, mlflow_reader
from tests.integration.test_databases import track
track(load_params(), pairs=7)
assert mlflow_client.own_database() == Path.cwd() / "mlflow.db"
with mlflow_reader.open_client() as client:
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    [found] = client.search_runs(ids, "metrics.`data/pairs` = 7")
print(mlflow_reader.read_artifact(found.info.run_id, Path("prepare/metrics.json")))
"""


@pytest.mark.parametrize("name", ["C# 100%20", "what?x=1", "a b/ü 名", "50% (copy)"])
@pytest.mark.slow
def test_a_project_in_a_folder_of_any_name(name, project, tmp_path):
    """In an address of SQLite ? ends the file's name, and %20 is a space."""
    moved = tmp_path / "elsewhere" / name
    moved.parent.mkdir(parents=True)
    project.rename(moved)
    before = set(moved.parent.iterdir())
    printed = run_stage_command(
        moved,
        *(sys.executable, "-c", TRACK_AND_READ),
        **{"DVC_ROOT": str(moved), "PIPELINE_RUN_KEY": "one", "PYTHONPATH": str(REPOSITORY)},
    )
    assert "b'{}'" in printed
    assert set(moved.parent.iterdir()) == before
    assert list((moved / ".tracking/spool").iterdir()) == []


def overwritten(file: Path) -> None:
    with file.open("r+b") as database:
        database.write(b"garbage " * 4)


def cut_short(file: Path) -> None:
    os.truncate(file, 50_000)


def of_a_later_version(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("update alembic_version set version_num = 'fedcba987654'")


def of_an_earlier_version(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("update alembic_version set version_num = '451aebb31d03'")  # MLflow's first


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            overwritten,
            "mlflow.db is damaged (DatabaseError: (sqlite3.DatabaseError) file is not a database); put a copy",
        ),
        (cut_short, "mlflow.db is damaged (DatabaseError: (sqlite3.DatabaseError) database disk image is malformed)"),
        (of_a_later_version, "does not know (schema fedcba987654), probably a later one"),
        (of_an_earlier_version, "found version 451aebb31d03"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_once_and_stops_no_stage(
    damage, said, project, params, monkeypatch, capsys
):
    """What waits arrives as soon as a database can be used again."""
    whole = (project / "mlflow.db").read_bytes()
    damage(project / "mlflow.db")
    track(params)
    told = capsys.readouterr().err
    assert said in told
    assert told.count("tracking: ") == 1
    assert "prepare" in {run.name for run, _ in outbox.pending()}
    monkeypatch.setattr(sys, "argv", ["cleanup"])
    assert cleanup.main() == 2
    refusal = capsys.readouterr().err
    assert refusal.startswith("cleanup: MLflow")
    assert said in refusal
    (project / "mlflow.db").write_bytes(whole)
    monkeypatch.setenv("PIPELINE_RUN_KEY", "two")
    mlflow_client.connect.cache_clear()
    track(params)
    assert [run.data.metrics for run in runs(project) if run.info.run_name == "prepare"] == [{"data/pairs": 3}] * 2
    assert list(outbox.pending()) == []
