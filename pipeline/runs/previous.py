"""What a rerun is compared with: the run published last, else the results committed at git's HEAD."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.runs import last
from pipeline.runs.outcome import FILES, Outcome, Reader, read_outcome

PUBLISHED, COMMITTED = "the run published last", "the results committed at git HEAD"


@dataclass(frozen=True)
class Previous:
    """`outcome`: None where there is nothing to compare with; `origin` then says why, else where it is from."""

    outcome: Outcome | None
    origin: str


def previous() -> Previous:
    for name, read in ((PUBLISHED, _published), (COMMITTED, _committed)):
        files = {path: read(path) for path in FILES}
        if None not in files.values():
            return _outcome(name, files.get)
    return Previous(None, "no run has been published here, and no results are committed")


def _outcome(name: str, read: Reader) -> Previous:
    # Results of another version may have other columns; the rerun to come replaces them.
    try:
        return Previous(read_outcome(name, read), name)
    except (InputError, LookupError, ValueError) as error:
        return Previous(None, f"{name} cannot be read: {error}")


def _published(path: Path) -> bytes | None:
    file = last.folder() / path
    return file.read_bytes() if file.is_file() else None


def _committed(path: Path) -> bytes | None:
    try:
        return subprocess.run(["git", "show", f"HEAD:./{path.as_posix()}"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, no commit, or not in it
