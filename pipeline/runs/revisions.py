"""Runs that git keeps: commits, and DVC's experiments, whose results lie in commits of their own or in DVC's cache."""

from pathlib import Path

from pipeline.errors import InputError
from pipeline.runs.outcome import Outcome, Reader, read_outcome


def outcome(name: str) -> Outcome | None:
    """The run at a git revision or of a DVC experiment; None where it names neither.

    Raises:
        InputError: the revision lacks a file of a finished run.
    """
    commit = _commit(name)
    return read_outcome(name, _reader(commit)) if commit else None


def _commit(name: str) -> str | None:
    """The hash behind a name, as DVC's own commands find it; None outside of git and DVC too."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError, resolve_rev

    try:
        with Repo() as repo:
            return resolve_rev(repo.scm, name)
    except (SCMError, NotDvcRepoError):
        return None
    except DvcException as error:
        raise InputError(f"dvc cannot read this project: {error}; mend what it names") from None


def _reader(commit: str) -> Reader:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    files = DVCFileSystem(rev=commit)

    def read(path: Path) -> bytes | None:
        try:
            return files.read_bytes(path.as_posix())
        except FileNotFoundError:
            return None
        except DvcException as error:
            raise InputError(f"{path} of commit {commit} cannot be read: {error}") from None

    return read
