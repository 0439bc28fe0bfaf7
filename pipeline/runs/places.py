"""Where a run may be kept, and finding it there by the name that the user gives."""

from pathlib import Path

from pipeline.errors import InputError
from pipeline.runs import revisions, tracked
from pipeline.runs.outcome import Outcome, from_folder

WORKSPACE = "workspace"


def resolve(name: str) -> Outcome:
    """The run of this name: `workspace`, a git revision, a DVC experiment or an MLflow run, tried in this order.

    Raises:
        InputError: there is no such run, or it lacks what a finished run has.
    """
    if name == WORKSPACE:
        return from_folder(name, Path())
    for place in (revisions, tracked):
        if name and (found := place.outcome(name)):
            return found
    raise InputError(
        f"{name!r} is no run: neither '{WORKSPACE}' nor a git revision (git log --oneline), a DVC experiment "
        "(dvc exp list --all-commits) or the id of an MLflow run or its first six digits or more (make ui)"
    )
