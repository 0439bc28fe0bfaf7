"""Commands under an interpreter that has no packages: they go on inside .venv, or say what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shell import REPOSITORY

COMMANDS = ("pipeline", "pipeline.compare", "pipeline.rerun", "pipeline.cleanup")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing in it."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the code and of dvc.yaml, without an environment."""
    shutil.copytree(REPOSITORY / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    return tmp_path


def run(folder: Path, interpreter: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python ...` in a shell whose only python is this one, as dvc starts a stage."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "PYTHON"))}
    environment = {**kept, "PATH": f"{interpreter.parent}{os.pathsep}{os.defpath}", **variables}
    command = f"python {' '.join(words)}"
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("module", COMMANDS)
def test_without_an_environment_one_line_says_what_to_do(project: Path, bare: Path, module: str):
    done = run(project, bare / "bin/python", "-m", module, "report")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"psutil is not installed for {bare}/bin/python: `make setup` and `source .venv/bin/activate`, "
        "or `make repro`\n"
    )


@pytest.mark.parametrize("module", COMMANDS)
def test_the_command_goes_on_inside_the_projects_environment(project: Path, bare: Path, module: str):
    (project / ".venv").symlink_to(sys.prefix)
    done = run(project, bare / "bin/python", "-m", module, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m {module} ")


def test_arguments_go_along_and_flags_of_the_interpreter_do_not(project: Path, bare: Path):
    interpreter = project / ".venv/bin/python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text('#!/bin/sh\necho "$@"\n')
    interpreter.chmod(0o755)
    done = run(project, bare / "bin/python", "-S", "-m", "pipeline.compare", "HEAD~1", "'a b'")
    assert (done.returncode, done.stdout, done.stderr) == (0, "-m pipeline.compare HEAD~1 a b\n", "")


def test_an_experiments_copy_uses_the_environment_of_the_original(project: Path, bare: Path, tmp_path: Path):
    original = tmp_path / "original"
    original.mkdir()
    (original / ".venv").symlink_to(sys.prefix)
    assert run(project, bare / "bin/python", "-m", "pipeline", "--help", DVC_ROOT=str(original)).returncode == 0


def test_an_environment_without_the_packages_is_tried_once(project: Path, bare: Path):
    (project / ".venv").symlink_to(bare)
    done = run(project, bare / "bin/python", "-m", "pipeline", "report")
    assert done.returncode == 2
    assert done.stderr.startswith("psutil is not installed for ")


def test_importing_the_package_starts_nothing(project: Path, bare: Path):
    done = run(project, bare / "bin/python", "-c", "'import pipeline; print(pipeline.__doc__)'")
    assert done.returncode == 0
    assert done.stdout.startswith("What each attention head")
