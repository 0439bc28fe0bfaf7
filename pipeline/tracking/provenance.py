"""Provenance of a run: hashes of each stage's inputs from dvc.lock, and the git commit."""

import json
import os
import subprocess
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import yaml

from pipeline.core import paths
from pipeline.core.errors import InputError

PUBLISH = "publish"

Lock = dict[str, dict[str, Any]]


def read_lock(path: Path = paths.DVC_LOCK) -> Lock:
    """Read dvc.lock: stage -> entry, without publish's, which dvc has not renewed when publish reads it.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        stages = yaml.load(path.read_text(encoding="utf-8"), loader)["stages"]
        return {name: entry for name, entry in stages.items() if name != PUBLISH}
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, AttributeError):
        raise InputError(f"{path} is damaged; restore it: git checkout {path}") from None


def stage_fingerprints(lock: Lock) -> dict[str, str]:
    """Fingerprints of stages: sha256 of the command, the hashes of its dependencies and the values of its params."""
    return {name: _digest([entry["cmd"], _hashes(entry, "deps"), entry.get("params")]) for name, entry in lock.items()}


def whole_fingerprint(stages: dict[str, str]) -> str:
    return _digest(stages)


def output_fingerprint(lock: Lock, folder: Path) -> str | None:
    """Hash of the outputs at or below `folder`; None where no stage has any there."""
    outs = [(path, md5) for entry in lock.values() for path, md5 in _hashes(entry, "outs")]
    below = sorted((path, md5) for path, md5 in outs if Path(path).is_relative_to(folder))
    return _digest(below)[:16] if below else None


def wrote(entry: dict[str, Any], digests: dict[str, str]) -> bool:
    """Whether a run that left files with these md5 digests is the one whose outputs the lock entry names."""
    known = [(md5, left) for path, md5 in _hashes(entry, "outs") if (left := _output_digest(path, digests))]
    return bool(known) and all(md5 == left for md5, left in known)


def _output_digest(path: str, digests: dict[str, str]) -> str | None:
    """DVC's hash of an output by its files' digests; of a folder that of their list. None where no file is known."""
    below = {file.removeprefix(f"{path}/"): digest for file, digest in digests.items() if file.startswith(f"{path}/")}
    listed = json.dumps([{"md5": digest, "relpath": name} for name, digest in sorted(below.items())])
    return f"{md5(listed.encode()).hexdigest()}.dir" if below else digests.get(path)


def file_digests(files: list[Path]) -> dict[str, str]:
    """MD5 digests of files, as DVC hashes them."""
    return {str(path): md5(path.read_bytes()).hexdigest() for path in files if path.is_file()}


def _hashes(entry: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return sorted((item["path"], item.get("md5", "")) for item in entry.get(kind, []))


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


MADE_BY_STAGES = ("reports", "data", "dvc.lock")  # DVC changes these while it runs


def source_tags() -> dict[str, str]:
    """Tags of the source code; without git or a commit, nothing but the DVC experiment's name."""
    tags = {"dvc.experiment": name} if (name := os.environ.get("DVC_EXP_NAME")) else {}
    if commit := git("rev-parse", "HEAD"):
        others = [f":(exclude){path}" for path in MADE_BY_STAGES]
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *others)
        tags |= {"mlflow.source.git.commit": commit, "git.dirty": "true" if changed else "false"}
    return tags


def git(*arguments: str) -> str | None:
    """Output of git; None without git or a repository."""
    try:
        done = _run_git(*arguments)
    except (OSError, subprocess.SubprocessError):
        return None
    return None if done.returncode else done.stdout.strip()


def ownership_advice() -> str | None:
    """Advice where git refuses the repository as one of another user's; None elsewhere."""
    try:
        said = _run_git("rev-parse", "--git-dir").stderr
    except (OSError, subprocess.SubprocessError):
        return None
    commands = [line.strip() for line in said.splitlines() if "safe.directory" in line]
    return f"git refuses a repository of another user; run: {commands[-1]}" if commands else None


def _run_git(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C"}
    return subprocess.run(
        ["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=10, env=environment
    )
