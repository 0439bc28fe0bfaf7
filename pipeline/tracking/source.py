"""Which code ran: the git commit, and whether the tree differs from it."""

import os
import subprocess

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
