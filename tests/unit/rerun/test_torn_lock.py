"""A dvc.lock cut off anywhere: dvc reads what the rerun leaves in its place, and nothing is lost."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.core.paths import DVC_LOCK as LOCK
from pipeline.rerun.torn_lock import mend_lock
from tests.support import shell

KEPT = Path(".tracking/dvc.lock.unreadable")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A stand-in project with a dvc.lock that is not committed."""
    folder = tmp_path_factory.mktemp("torn") / "project"
    shell.create_stand_in(folder)
    assert shell.rerun(folder)[0] == 0
    return folder


@pytest.fixture
def entered(project, monkeypatch) -> str:
    """The lock's text, in the project; it is put back, and what was kept is removed."""
    whole = (project / LOCK).read_text()
    monkeypatch.chdir(project)
    monkeypatch.setenv("DVC_ROOT", str(project))
    yield whole
    LOCK.write_text(whole)
    KEPT.unlink(missing_ok=True)


def is_read() -> bool:
    return subprocess.run(["dvc", "status"], capture_output=True, check=False).returncode == 0


def test_a_whole_lock_and_none_at_all_are_left_alone(entered):
    assert mend_lock() == ""
    assert LOCK.read_text() == entered
    LOCK.unlink()
    assert mend_lock() == ""
    assert not LOCK.exists()


def test_without_a_commit_a_torn_lock_is_kept_elsewhere(entered):
    torn = entered[: entered.index("2.0") + 2]
    LOCK.write_text(torn)
    assert not is_read()
    assert "git has none" in mend_lock()
    assert not LOCK.exists()
    assert KEPT.read_text() == torn
    assert is_read()


def test_a_lock_cut_off_anywhere_is_replaced_by_the_committed_one_or_read(project, entered):
    shell.commit(project)
    cuts = range(0, len(entered), max(1, len(entered) // 40))
    done = []
    for cut in cuts:
        LOCK.write_text(entered[:cut])
        if mend_lock():
            assert LOCK.read_text() == entered
            assert KEPT.read_text() == entered[:cut]
            done.append(cut)
        assert mend_lock() == ""
    assert len(done) > len(cuts) / 4
    assert is_read()


def test_the_rerun_tells_it_and_runs_nothing(project, entered):
    LOCK.write_text(entered[: entered.index("2.0") + 2])
    code, out, _ = shell.rerun(project)
    assert code == 0
    assert "dvc could not read dvc.lock" in out
    assert LOCK.read_text() == entered


def test_of_a_project_below_the_root_of_its_repository_the_committed_lock_comes_back(project, entered, monkeypatch):
    shell.commit(project)
    above = project.parent / "repository"
    below = above / "project"
    shutil.copytree(project, below, ignore=shutil.ignore_patterns(".git"))
    shell.run_command(above, "git", "init", "--quiet")
    shell.commit(above)
    monkeypatch.chdir(below)
    monkeypatch.setenv("DVC_ROOT", str(below))
    (below / LOCK).write_text(entered[: entered.index("2.0") + 2])
    assert "git's last one" in mend_lock()
    assert (below / LOCK).read_text() == entered
