"""Where a clone may lie, and who may run it: below another repository, without git, of another user, without a name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.compare.run_results import find_run
from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.tracking.provenance import ownership_advice
from tests.support import shell
from tests.support.shell import REPOSITORY

PROJECT = Path("search/heads")  # in a larger repository
NAMELESS = """
import pwd
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
"""
# root, who may write everywhere, without that right.
WITHOUT_RIGHTS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a project below its root, run and committed."""
    root = tmp_path_factory.mktemp("places") / "company"
    (root / PROJECT).parent.mkdir(parents=True)
    shell.create_stand_in(root / PROJECT)
    shutil.rmtree(root / PROJECT / ".git")
    shell.run_command(root, "git", "init", "--quiet")
    assert shell.rerun(root / PROJECT)[0] == 0
    shell.commit(root)
    return root


@pytest.fixture
def project(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project in a clone of that repository, entered."""
    shell.run_command(tmp_path, "git", "clone", "--quiet", str(committed), "company")
    shutil.copytree(committed / PROJECT / ".dvc/cache", tmp_path / "company" / PROJECT / ".dvc/cache")
    monkeypatch.chdir(tmp_path / "company" / PROJECT)
    return Path.cwd()


def summary() -> str:
    return paths.RERUN.read_text(encoding="utf-8")


def test_a_project_below_the_root_of_its_repository_is_compared_with_its_revisions(project):
    assert find_run("HEAD").metrics == {"headline/test_accuracy": 0.8}
    shell.give(project, accuracy=0.75)
    assert shell.rerun(project)[0] == 3
    assert "- compared with the results committed at git HEAD\n" in summary()


@pytest.mark.slow
def test_an_experiment_below_the_root_is_found(project, monkeypatch):
    identity = {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@t",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@t",
    }
    for name, value in {**identity, "PYTHONPATH": str(REPOSITORY)}.items():
        monkeypatch.setenv(name, value)
    shell.give(project, accuracy=0.75)
    shell.run_command(project, "dvc", "exp", "run", "--temp", "--name", "mine")
    assert find_run("mine").metrics == {"headline/test_accuracy": 0.75}
    assert find_run("HEAD").metrics == {"headline/test_accuracy": 0.8}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_clone_of_another_user_is_named_with_the_fix(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project))  # with no safe.directory of its own
    assert ownership_advice() is None
    root = project.parents[1]
    for path in (root, *root.rglob("*")):
        os.chown(path, 12345, 12345)
    advice = f"git config --global --add safe.directory {root}"
    with pytest.raises(InputError, match=advice):
        find_run("HEAD")
    assert advice in str(ownership_advice())
    assert shell.rerun(project)[0] == 0
    assert advice in summary(), "it does not say why it compared with nothing"


def test_a_user_id_without_a_name_and_a_home_runs(project, tmp_path, monkeypatch):
    monkeypatch.delenv("HOME")
    (tmp_path / "sitecustomize.py").write_text(NAMELESS)
    nameless = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    without = dict.fromkeys(("USER", "LOGNAME", "LNAME", "USERNAME"), "")  # as good as unset for getpass
    code, _, err = shell.rerun(project, **nameless, **without)
    assert (code, err) == (0, "")
    assert "- compared with the results committed at git HEAD\n" in summary()


def test_an_archive_without_git_is_code_2_with_the_fix(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    archive = shutil.move(project, project.parents[2] / "archive")
    code, out, _ = shell.rerun(Path(archive))
    assert code == 2
    assert "is not a git repository: git init && git add -A && git commit -m Start" in out


def test_a_file_of_another_user_is_code_2_with_the_fix(project):
    lock = project / ".tracking/rerun.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    lock.chmod(0o444)
    rights = WITHOUT_RIGHTS if os.geteuid() == 0 else []
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [*rights, sys.executable, "-m", "pipeline.rerun"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "rerun.lock'; give yourself the right to read and write there" in done.stderr
    assert "Traceback" not in done.stderr


def test_users_of_one_group_share_the_lock(project):
    old = os.umask(0o002)
    try:
        assert shell.rerun(project)[0] == 0
    finally:
        os.umask(old)
    assert {oct(path.stat().st_mode)[-3:] for path in (project / ".tracking").glob("rerun.*")} == {"664"}


@pytest.mark.slow
def test_a_terminal_that_lacks_the_letters_changes_no_outcome(project):
    assert shell.rerun(project)[0] == 0
    text = paths.PARAMS.read_text(encoding="utf-8")
    paths.PARAMS.write_text(text.replace("experiment: head-analysis", "experiment: 注意力"), encoding="utf-8")
    code, out, err = shell.rerun(project, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert "params: run.experiment head-analysis -> \\u6ce8\\u610f\\u529b" in out
    assert "run.experiment head-analysis -> 注意力" in summary()


LITTER = (
    ".DS_Store",
    "._a.csv",
    "Thumbs.db",
    ".~lock.pairs.csv#",
    "~$pairs.xlsx",
    ".ipynb_checkpoints/a.csv",
    "a.csv~",
    ".a.csv.swp",
    ".cache/huggingface/download/a.lock",
    ".nfs0001",
    ".fuse_hidden01",
    ".directory",
    ".git/index",
)


@pytest.mark.parametrize("folder", [paths.RAW, paths.CHECKPOINTS / "mine"], ids=str)
def test_litter_beside_data_changes_no_dependency(project, folder):
    shutil.copy(REPOSITORY / ".dvcignore", project)
    files = [folder / name for name in (*LITTER, "pairs.csv", "config.json")]
    command = [sys.executable, "-m", "dvc", "check-ignore", *map(str, files)]
    ignored = subprocess.run(command, cwd=project, capture_output=True, text=True).stdout.splitlines()
    assert ignored == [str(file) for file in files[:-2]]
