"""Environment of a command: what a container, a schedule or an old terminal leaves out of it."""

import io
import os
import sys
from getpass import getuser
from pathlib import Path

from pipeline.core import paths


def complete_environment() -> None:
    """Complete this process' environment, which its children inherit.

    A user id without a name or a home gets them, which DVC asks for. Where nothing can be written at home, matplotlib
    gets a folder for its list of fonts. Texts that stdout's encoding lacks are escaped.
    """
    try:
        getuser()
    except (KeyError, OSError):  # no passwd entry, and no variable that names the user
        os.environ["USER"] = f"user-{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str((paths.CACHE / "home").resolve())
    if not os.access(Path.home(), os.W_OK):
        os.environ.setdefault("MPLCONFIGDIR", str((paths.CACHE / "matplotlib").resolve()))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
