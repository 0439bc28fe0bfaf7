"""What a rerun is compared with: the run published last, else the results committed at git's HEAD."""

from dataclasses import dataclass, replace

from pipeline import paths
from pipeline.errors import InputError
from pipeline.runs import last, revisions
from pipeline.runs.outcome import Outcome, from_folder

PUBLISHED, COMMITTED = "the run published last", "the results committed at git HEAD"


@dataclass(frozen=True)
class Previous:
    """`outcome`: None where there is nothing to compare with; `reason` then says why."""

    outcome: Outcome | None
    reason: str = ""


def previous() -> Previous:
    # Results of another version may be of another form, and the rerun to come replaces them.
    try:
        outcome = _published() or _committed()
    except (InputError, LookupError, ValueError) as error:
        return Previous(None, f"the run before cannot be read: {error}")
    return Previous(outcome, "" if outcome else "no run has been published here, and git has no commit")


def _published() -> Outcome | None:
    is_there = (last.folder() / paths.FINDINGS).is_file()
    return from_folder(PUBLISHED, last.folder()) if is_there else None


def _committed() -> Outcome | None:
    found = revisions.outcome("HEAD")
    return replace(found, name=COMMITTED) if found else None
