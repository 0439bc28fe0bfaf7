"""A stage's process and the dvc above it."""

import gc
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.core.process import collection_paused
from tests.support.shell import REPOSITORY

STAGE = """
import os, time
from pipeline.core import process
process.end_with_dvc()
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_stage_ends_with_its_dvc_though_a_shell_stands_between(tmp_path):
    dvc = tmp_path / "dvc"
    child = f"{sys.executable} -c '{STAGE}'; true"  # the shell waits, and so stays
    dvc.write_text(f"import subprocess\nsubprocess.run({child!r}, shell=True)")
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, str(dvc)], stdout=subprocess.PIPE, text=True, env=environment)
    stage = psutil.Process(int(process.stdout.readline()))
    time.sleep(0.2)
    assert stage.is_running()
    process.send_signal(signal.SIGKILL)
    process.wait()
    gone, _ = psutil.wait_procs([stage], timeout=10)
    assert gone == [stage]


def test_a_stage_whose_dvc_was_gone_before_it_looked_does_not_begin(tmp_path):
    script = "import time; time.sleep(1); from pipeline.core import process; process.end_with_dvc(); print('began')"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {script!r}])"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "DVC_STAGE": "prepare"}
    done = subprocess.run(
        [sys.executable, "-c", parent], env=environment, capture_output=True, text=True, timeout=60
    )  # ends when the orphan closes its output
    assert done.stdout == ""
    assert "the dvc that started this stage is gone" in done.stderr


def test_collection_is_paused_and_goes_on_though_an_import_fails():
    before = gc.get_freeze_count()
    with pytest.raises(ImportError, match="enabled: False"), collection_paused():
        raise ImportError(f"enabled: {gc.isenabled()}")
    assert gc.isenabled()
    assert gc.get_freeze_count() > before
