"""The run published last: a copy of the files that make its outcome, kept for the next rerun to compare with."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.compare import run_results
from pipeline.compare.run_results import RESULT_FILES, RunResults, run_in_folder
from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.tracking.execution import project_root, tracking_folder


def published_folder() -> Path:
    """Mirrors FILES; absent until a run has been published."""
    return tracking_folder() / "published" / "last"


def keep_published() -> None:
    """Copy the main workspace's outcome, unless a file of it is missing or the copy is the same already.

    A DVC experiment leaves the copy as it is: it is no state of the main line of runs.
    """
    in_experiment = "DVC_EXP_NAME" in os.environ or Path.cwd() != project_root()
    if (
        in_experiment
        or not all(path.is_file() for path in RESULT_FILES)
        or all(_is_copied(path) for path in RESULT_FILES)
    ):
        return
    # Imported here since it imports pandas, which an execution with nothing to keep does without.
    from pipeline.core.atomic import replace_atomically

    with replace_atomically(published_folder()) as temporary:
        for path in RESULT_FILES:
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, temporary / path)


def _is_copied(path: Path) -> bool:
    kept = published_folder() / path
    return kept.is_file() and kept.read_bytes() == path.read_bytes()


PUBLISHED, COMMITTED = "the run published last", "the results committed at git HEAD"


@dataclass(frozen=True)
class Previous:
    """`outcome`: None where there is nothing to compare with; `reason` then says why."""

    outcome: RunResults | None
    reason: str = ""


def previous() -> Previous:
    # Results of another version may be of another form, and the rerun to come replaces them.
    try:
        outcome = _published() or _committed()
    except (InputError, LookupError, ValueError) as error:
        return Previous(None, f"the run before cannot be read: {error}")
    return Previous(outcome, "" if outcome else "no run has been published here, and git has no commit")


def _published() -> RunResults | None:
    is_there = (published_folder() / paths.FINDINGS).is_file()
    return run_in_folder(PUBLISHED, published_folder()) if is_there else None


def _committed() -> RunResults | None:
    found = run_results.run_at_revision("HEAD")
    return replace(found, name=COMMITTED) if found else None
