"""The run published last: a copy of the files that make its outcome, kept for the next rerun to compare with."""

import os
import shutil
from pathlib import Path

from pipeline.runs.outcome import FILES
from pipeline.tracking.execution import root, state


def folder() -> Path:
    """Mirrors FILES; absent until a run has been published."""
    return state() / "published" / "last"


def keep() -> None:
    """Copy the main workspace's outcome, unless a file of it is missing or the copy is the same already.

    A DVC experiment leaves the copy as it is: it is no state of the main line of runs.
    """
    in_experiment = "DVC_EXP_NAME" in os.environ or Path.cwd() != root()
    if in_experiment or not all(path.is_file() for path in FILES) or all(_is_kept(path) for path in FILES):
        return
    # Imported here since it imports pandas, which an execution with nothing to keep does without.
    from pipeline.files import replacing

    with replacing(folder()) as temporary:
        for path in FILES:
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, temporary / path)


def _is_kept(path: Path) -> bool:
    kept = folder() / path
    return kept.is_file() and kept.read_bytes() == path.read_bytes()
