"""Restart of a command inside the project's virtual environment, or advice where there is none.

`.venv/bin/dvc repro` in a shell that has not activated it starts every stage with the system's `python`. Nothing here
needs a package.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

# What each command imports first. A package that is not here is missed by its own import, in the environment too.
FIRST_IMPORTS = ("psutil", "filelock", "pydantic", "yaml")
RESTARTED = "PIPELINE_RESTARTED"


def use_project_interpreter() -> None:
    """Restart this command with .venv's interpreter where the running one lacks packages.

    Without such an interpreter, or where it lacks them too, exits with code 2 and one line.
    """
    missing = next((name for name in FIRST_IMPORTS if find_spec(name) is None), None)
    is_restarted = os.environ.pop(RESTARTED, None) is not None
    if missing is None:
        return
    arguments = getattr(sys, "orig_argv", [])  # from Python 3.10
    interpreter = _project_interpreter()
    if interpreter and "-m" in arguments and not is_restarted:
        command = [str(interpreter), *arguments[arguments.index("-m") :]]
        os.execve(interpreter, command, {**os.environ, RESTARTED: "1"})
    print(
        f"{missing} is not installed for {sys.executable}: `make setup` and `source .venv/bin/activate`, "
        "or `make repro`",
        file=sys.stderr,
    )
    sys.exit(2)


def _project_interpreter() -> Path | None:
    """Interpreter of the clone, or of the original one where this runs in a copy that DVC made for an experiment."""
    roots = [Path(os.environ["DVC_ROOT"])] if "DVC_ROOT" in os.environ else []
    candidates = [root / ".venv/bin/python" for root in [*roots, Path(__file__).resolve().parents[2]]]
    return next((path for path in candidates if path.is_file()), None)
