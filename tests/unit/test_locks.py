"""The locks against pyproject.toml, the set-up against a machine it does not fit."""

import re
import subprocess
import tomllib
from itertools import combinations
from pathlib import Path

import pytest

from tests.support.shell import REPOSITORY

GROUPS = ("torch", "compute", "report", "operations", "export", "tools", "cluster")
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


def pins(group: str) -> dict[str, str]:
    """Package to version in the lock of a group."""
    return dict(PIN.findall((REPOSITORY / "locks" / f"{group}.lock").read_text(encoding="utf-8")))


def normalized(requirement: str) -> str:
    """The name of a requirement as locks spell it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=~!\[ ;]", requirement)[0]).lower()


def test_no_package_is_in_two_locks():
    for one, other in combinations(GROUPS, 2):
        assert not pins(one).keys() & pins(other).keys(), (one, other)


def test_what_pyproject_asks_for_is_in_the_lock_of_its_group_or_an_earlier_one():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {"compute": project["dependencies"], **project["optional-dependencies"]}
    assert tuple(asked) == GROUPS[1:]
    for group, requirements in asked.items():
        held = {name for earlier in GROUPS[: GROUPS.index(group) + 1] for name in pins(earlier)}
        assert {normalized(requirement) for requirement in requirements} <= held, group


def test_only_the_lock_of_torch_has_no_hashes_and_names_packages_for_cuda():
    for group in GROUPS[1:]:
        blocks = re.split(r"^(?=\S)", (REPOSITORY / "locks" / f"{group}.lock").read_text(encoding="utf-8"), flags=re.M)
        assert all("--hash=sha256:" in block for block in blocks if block), group
        assert not [name for name in pins(group) if name.startswith(("nvidia-", "cuda-", "triton"))]
    assert any(name.startswith("nvidia-") for name in pins("torch"))


def test_set_up_installs_all_locks_but_that_of_clusters():
    script = (REPOSITORY / "locks" / "install.sh").read_text(encoding="utf-8")
    assert [group for group in GROUPS if f"locks/{group}.lock" not in script] == ["cluster"]


def install(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    script = [REPOSITORY / "locks" / "install.sh", *arguments]
    return subprocess.run(script, cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("version", "torch", "said"),
    [
        ("3.10", "cpu", "Python 3.11 to 3.14 is needed"),
        ("3.13", "tpu", "TORCH=tpu: cpu or cuda is needed"),
        ("3.13", "cpu", ".venv has Python and torch 3.12 cpu, not 3.13 cpu"),
        ("3.12", "cuda", ".venv has Python and torch 3.12 cpu, not 3.12 cuda"),
        ("3.12", "cpu", ""),
    ],
)
def test_a_python_or_torch_that_the_virtual_environment_does_not_have_is_named(version, torch, said, tmp_path: Path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / ".installed").write_text("3.12 cpu\n", encoding="utf-8")
    done = install("--check", str(python), torch, cwd=tmp_path)
    assert done.returncode == (2 if said else 0)
    assert done.stderr.startswith(said)


def test_an_archive_without_git_is_refused_before_anything_is_installed(tmp_path: Path):
    (tmp_path / "locks").symlink_to(REPOSITORY / "locks")
    make = ["make", "--file", str(REPOSITORY / "Makefile"), "setup"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "git init && git add -A" in done.stderr
    assert not (tmp_path / ".venv").exists()
