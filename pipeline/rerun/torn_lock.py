"""A dvc.lock that a kill tore: dvc writes it in place, and reads it no more where it was stopped half-way."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.formats import write_text
from pipeline.tracking.execution import tracking_folder

if TYPE_CHECKING:
    from dvc.repo import Repo

LOCK = Path("dvc.lock")


def mend_lock() -> str:
    """Put git's last dvc.lock in the place of one that dvc cannot read; where there is none, remove it.

    Stages that ended since that commit run again. What was there is kept below `.tracking/`, since it may be a merge's
    conflict as well.

    Returns:
        What was done, a line; "" where dvc reads the file, or cannot read the project at all (dvc repro reports that).
    """
    from dvc.dvcfile import Lockfile
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo() as repo:
            try:
                Lockfile(repo, str(LOCK.resolve())).load()
                return ""
            except DvcException:
                committed = _at_head(repo)
    except (DvcException, SCMError):
        return ""
    kept = tracking_folder() / "dvc.lock.unreadable"
    kept.parent.mkdir(parents=True, exist_ok=True)
    LOCK.rename(kept)
    if committed is None:
        return f"dvc could not read {LOCK} (now {kept}), and git has none: every stage runs again"
    write_text(LOCK, committed)
    return f"dvc could not read {LOCK} (now {kept}): git's last one is in its place"


def _at_head(repo: "Repo") -> str | None:
    """The file's text in git's last commit; None where there is no commit, no such file in it, or no git."""
    from scmrepo.exceptions import SCMError

    try:
        with repo.scm.get_fs("HEAD").open(LOCK.as_posix(), "rb") as file:
            return file.read().decode()
    except (SCMError, OSError, AttributeError):
        return None
