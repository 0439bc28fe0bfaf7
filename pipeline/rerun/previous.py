"""Previous run: a copy of the last published results, for comparison in the next rerun."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from pipeline.compare.run_results import RESULT_FILES, RunResults, run_at_revision, run_in_folder
from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.tracking.execution import project_root, tracking_folder


def published_folder() -> Path:
    """Folder that mirrors RESULT_FILES; absent until a run has been published."""
    return tracking_folder() / "published" / "last"


def keep_published() -> None:
    """Copy the results of the main workspace, unless a file is missing or the copy is up to date.

    A DVC experiment leaves the copy as it is: it does not belong to the main line of runs.
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
    copy = published_folder() / path
    return copy.is_file() and copy.read_bytes() == path.read_bytes()


PUBLISHED, COMMITTED = "the run published last", "the results committed at git HEAD"


class NothingToCompare(Exception):
    """Missing previous run; the message says why."""


def previous_run(kind: str) -> RunResults:
    """Results of the last published run, or else of git HEAD.

    Args:
        kind: of the model that is run now, "grader" or "ranker".

    Raises:
        NothingToCompare: there is neither, it cannot be read, or it is of another kind of model.
    """
    found = _previous_run()
    if found.measures.kind != kind:
        raise NothingToCompare(f"{found.name} is of a {found.measures.kind}, and this one of a {kind}")
    return found


def _previous_run() -> RunResults:
    try:
        if (published_folder() / paths.FINDINGS).is_file():
            return run_in_folder(PUBLISHED, published_folder())
        committed = run_at_revision("HEAD")
    except (InputError, LookupError, ValueError) as error:  # results of another version may be of another form
        raise NothingToCompare(f"the run before cannot be read: {error}") from None
    if committed is None:
        raise NothingToCompare("no run has been published here, and git has no commit")
    return replace(committed, name=COMMITTED)
