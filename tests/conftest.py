"""A project with tracking of its own, on a database that costs its creation once."""

import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from pipeline import tracking
from pipeline.params import load_params

REPOSITORY = Path(__file__).parents[1]
WRITERS = 6


@pytest.fixture(scope="session")
def written_at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose fresh database several processes, an execution each, opened and wrote at the same moment."""
    folder = tmp_path_factory.mktemp("at_once")
    shutil.copy(REPOSITORY / "params.yaml", folder)
    import mlflow  # noqa: F401  the processes share its import

    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_a_stage, args=(folder, f"writer {number}")) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=300)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    return folder


def _write_a_stage(folder: Path, key: str) -> None:
    os.chdir(folder)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ |= {"DVC_ROOT": str(folder), "PIPELINE_RUN_KEY": key}
    with tracking.stage("prepare", load_params()) as record:
        record.metrics["pairs"] = 3


@pytest.fixture
def project(written_at_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, entered, whose database is initialised and holds no run of the default experiment."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(REPOSITORY / "params.yaml", folder)
    shutil.copy(written_at_once / "mlflow.db", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.setenv("PIPELINE_RUN_KEY", "one")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder
