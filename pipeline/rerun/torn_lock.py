"""A dvc.lock that a kill tore: dvc writes it in place, and reads it no more where it was stopped half-way."""

from pipeline.compare.run_results import revision_files
from pipeline.core.formats import write_text
from pipeline.core.paths import DVC_LOCK
from pipeline.tracking.execution import tracking_folder


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
            lock = Lockfile(repo, str(DVC_LOCK.resolve()))
    except (DvcException, SCMError):
        return ""
    try:
        lock.load()
        return ""
    except DvcException:
        read = revision_files("HEAD")
        committed = read(DVC_LOCK) if read else None
    kept = tracking_folder() / "dvc.lock.unreadable"
    kept.parent.mkdir(parents=True, exist_ok=True)
    DVC_LOCK.rename(kept)
    if committed is None:
        return f"dvc could not read {DVC_LOCK} (now {kept}), and git has none: every stage runs again"
    write_text(DVC_LOCK, committed.decode())
    return f"dvc could not read {DVC_LOCK} (now {kept}): git's last one is in its place"
