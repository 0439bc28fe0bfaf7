"""A project with tracking of its own, on a database that costs its creation once."""

import multiprocessing
import os
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest

from pipeline import tracking
from pipeline.__main__ import STAGES
from pipeline.core.config import Params, load_params
from tests.support.shell import REPOSITORY, executed, make_clone, run_stage_command
from tests.support.tracking import EXPERIMENT

WRITERS = 6


# What costs most to make, made once: the tests that use it run in one process, the longest first.
SHARED = ("finished", "written_at_once")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares a fixture; other tests by file. See `--dist loadgroup` in the Makefile."""
    groups = {}
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        group = next((name for name in SHARED if name in fixtures), item.path.stem)
        item.add_marker(pytest.mark.xdist_group(group))
        groups[item] = (*SHARED, group).index(group)
    items.sort(key=groups.__getitem__)


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


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project in which everything ran once, without network and pickles."""
    folder = tmp_path_factory.mktemp("clone")
    make_clone(folder)
    guard = {"PYTHONPATH": str(REPOSITORY / "tests/support/guard"), "GUARD_LOG": str(folder / ".guard.log")}
    assert executed(run_stage_command(folder, "dvc", "repro", **guard)) == set(STAGES)
    return folder


@pytest.fixture
def params(project: Path) -> Params:
    """The project's params, its runs filed under the tests' experiment."""
    params = load_params()
    return params.model_copy(update={"run": params.run.model_copy(update={"experiment": EXPERIMENT})})


@pytest.fixture
def offline_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, entered, without a model hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path
