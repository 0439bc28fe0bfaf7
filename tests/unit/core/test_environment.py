"""Environments that a container or a schedule leaves incomplete."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shell import REPOSITORY

IMPORT = (
    "from pipeline.core.environment import complete_environment; complete_environment(); "
    "import matplotlib; print(matplotlib.get_cachedir())"
)


@pytest.mark.parametrize("named", [False, True], ids=["no folder named", "a folder named"])
def test_matplotlib_has_a_folder_where_home_is_not_there(tmp_path: Path, named: bool):
    """Else it says so in two lines of its own, and reads every font again in each run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG"))}
    environment = kept | {"HOME": str(tmp_path / "absent" / "home"), "PYTHONPATH": str(REPOSITORY)}
    (tmp_path / "absent").touch()
    if named:
        environment["MPLCONFIGDIR"] = str(tmp_path / "own")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert Path(done.stdout.strip()) == tmp_path / ("own" if named else ".cache/matplotlib")
