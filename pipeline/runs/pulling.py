"""Fetching from the DVC remote what other clones pushed, before a rerun computes it again."""

from contextlib import suppress
from pathlib import Path

from pipeline import paths
from pipeline.runs.dvc import Dvc


def pull(dvc: Dvc) -> str | None:
    """Pull from the default remote, where there is one. Returns what went wrong, None where nothing did."""
    remote = _default_remote()
    if remote is None:
        return None
    if missing := _missing_folder(*remote):
        return missing
    inputs = sorted(path.as_posix() for path in Path("data").glob("**/*.dvc") if path.is_file())
    # What a killed stage left is replaced; a table that was edited and not added is not.
    return (_pull(dvc, *inputs) if inputs else None) or _pull(dvc, "--force", str(paths.DVC_YAML))


def _default_remote() -> tuple[str, str] | None:
    """Its name and address; None also where dvc cannot read the project, which dvc repro is to tell."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with suppress(DvcException), Repo() as repo:
        if name := repo.config["core"].get("remote"):
            return name, repo.config["remote"].get(name, {}).get("url", "")
    return None


def _pull(dvc: Dvc, *arguments: str) -> str | None:
    done = dvc.run("pull", "--allow-missing", *arguments)  # what was never pushed is computed
    return done.message if done.code else None


def _missing_folder(name: str, url: str) -> str | None:
    """dvc takes a folder that is not there, such as a share not mounted, for one to which nothing was pushed."""
    folder = url.removeprefix("file://")
    if "://" in folder or Path(folder).is_dir():
        return None
    return f"the DVC remote {name} is the folder {folder}, which does not exist: mount it, or make it if it is new"
