"""Where a run comes from: hashes of what went into each stage, read off dvc.lock, and the git commit."""

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
    """Stage -> its entry, without publish's own, which dvc has not renewed when publish reads it.

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
    """Stage -> sha256 of its command, the hashes of its dependencies and the values of its params."""
    return {name: _digest([entry["cmd"], _hashes(entry, "deps"), entry.get("params")]) for name, entry in lock.items()}


def whole_fingerprint(stages: dict[str, str]) -> str:
    return _digest(stages)


def output_fingerprint(lock: Lock, folder: Path) -> str | None:
    """One hash of the outputs at or below `folder`; None where no stage has any there."""
    outs = [(path, md5) for entry in lock.values() for path, md5 in _hashes(entry, "outs")]
    below = sorted((path, md5) for path, md5 in outs if Path(path).is_relative_to(folder))
    return _digest(below)[:16] if below else None


def wrote(entry: dict[str, Any], digests: dict[str, str]) -> bool:
    """Whether a run that left files with these md5 digests is the one whose outputs the lock entry names."""
    known = [(path, md5) for path, md5 in _hashes(entry, "outs") if path in digests]
    return bool(known) and all(digests[path] == md5 for path, md5 in known)


def file_digests(files: list[Path]) -> dict[str, str]:
    """Path -> md5, as DVC hashes a file."""
    return {str(path): md5(path.read_bytes()).hexdigest() for path in files if path.is_file()}


def _hashes(entry: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return sorted((item["path"], item.get("md5", "")) for item in entry.get(kind, []))


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


MADE_BY_STAGES = ("reports", "data", "dvc.lock")  # DVC changes these while it runs


def source_tags() -> dict[str, str]:
    """Tags of the parent run; without git or a commit, nothing but the DVC experiment's name."""
    tags = {"dvc.experiment": name} if (name := os.environ.get("DVC_EXP_NAME")) else {}
    if commit := git("rev-parse", "HEAD"):
        others = [f":(exclude){path}" for path in MADE_BY_STAGES]
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *others)
        tags |= {"mlflow.source.git.commit": commit, "git.dirty": "true" if changed else "false"}
    return tags


def git(*arguments: str) -> str | None:
    """What git prints; None where it, or a repository, is not there."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
