"""Where a run comes from: hashes of what went into each stage, read off dvc.lock, and the git commit."""

import json
import os
import subprocess
from hashlib import file_digest, sha256
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


def output_fingerprint(lock: Lock, place: Path) -> str | None:
    """One hash of the outputs at or below `place`; None where no stage has any there."""
    outs = [item for entry in lock.values() for item in _hashes(entry, "outs")]
    found = sorted(item for item in outs if place in (Path(item[0]), *Path(item[0]).parents))
    return _digest(found)[:16] if found else None


def wrote(entry: dict[str, Any], digests: dict[str, str]) -> bool:
    """Whether a run that left files with these md5 digests is the one whose outputs the lock entry names."""
    known = [(path, md5) for path, md5 in _hashes(entry, "outs") if path in digests]
    return bool(known) and all(digests[path] == md5 for path, md5 in known)


def file_digests(files: list[Path]) -> dict[str, str]:
    """Path -> md5, as DVC hashes a file."""
    digests = {}
    for path in files:
        if path.is_file():
            with path.open("rb") as stream:
                digests[str(path)] = file_digest(stream, "md5").hexdigest()
    return digests


def _hashes(entry: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    return sorted((item["path"], item.get("md5", "")) for item in entry.get(kind, []))


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


MADE_BY_STAGES = ("reports", "data", "dvc.lock")  # DVC changes these while it runs


def source_tags() -> dict[str, str]:
    """Tags of the pipeline's row; without git or a commit, nothing but the DVC experiment's name."""
    tags = {"dvc.experiment": name} if (name := os.environ.get("DVC_EXP_NAME")) else {}
    commit = _git("rev-parse", "HEAD")
    if commit:
        others = [f":(exclude){path}" for path in MADE_BY_STAGES]
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *others)
        tags |= {"mlflow.source.git.commit": commit, "git.dirty": "true" if changed else "false"}
    return tags


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
