"""kill -9 of a stage and of dvc itself: the next `dvc repro` completes with the same bytes, and nothing is left over.

The slow test draws its moments over an undisturbed run; PIPELINE_KILL_SEED repeats one.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from pipeline.__main__ import STAGES
from tests.acceptance.test_end_to_end import rows
from tests.support.shell import PATIENCE, awaited, environment, files, make_clone, run_stage_command

KILLS = 20
DVC, STAGE = "dvc", "stage"
MEND = "from pipeline.rerun.torn_lock import mend_lock; print(mend_lock())"
Began = Callable[[Path, str], object]  # true once the stage of the folder began


def contents(folder: Path) -> dict[str, str]:
    """Every file below data and reports, temporary ones too, and dvc.lock."""
    names = {*files(folder, "data", "reports"), "dvc.lock"}
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names)}


def processes_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                found.append(process)
        except (psutil.Error, FileNotFoundError):
            continue
    return found


def running_stage(folder: Path) -> tuple[str, psutil.Process] | None:
    for process in processes_in(folder):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words[1:3] == ["-m", "pipeline"]:
            return words[3], process
    return None


def has_started(folder: Path, stage: str) -> bool:
    """Whether the stage's process is there."""
    found = running_stage(folder)
    return found is not None and found[0] == stage


def is_recorded(folder: Path, stage: str) -> bool:
    """Whether the stage told the tracking that it runs."""
    return any((folder / ".tracking/executions").glob(f"*/stages/{stage}.json"))


def kill_during(folder: Path, stage: str, began: Began, offset: float, victim: str, *arguments: str) -> str:
    """Start dvc, and kill -9 the victim `offset` seconds after the stage began; no process may stay.

    Returns what was hit: the stage that ran then, DVC where none did, "" where all was over.
    """
    dvc = subprocess.Popen(
        ["dvc", "repro", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    awaited(lambda: began(folder, stage))
    time.sleep(offset)
    running = running_stage(folder)
    if victim == STAGE and running is not None:
        running[1].send_signal(signal.SIGKILL)
    else:
        dvc.kill()
    code = dvc.wait(timeout=PATIENCE)
    awaited(lambda: not processes_in(folder), patience=10)
    return "" if code == 0 else running[0] if running else DVC


def assert_recovered(folder: Path, expected: dict[str, str]) -> None:
    """`dvc repro` completes; where the kill hit dvc as it wrote dvc.lock, after what a rerun does about that."""
    mended = run_stage_command(folder, sys.executable, "-c", MEND).strip()
    run_stage_command(folder, "dvc", "repro")
    found = contents(folder)
    if mended:
        print(f"    {mended}")
        found["dvc.lock"] = expected["dvc.lock"]  # the committed one's stages may stand in another order
    assert found == expected
    assert "RUNNING" not in set(rows(folder)["status"])


@pytest.fixture
def clone(finished, tmp_path) -> Path:
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True)
    run_stage_command(folder, "dvc", "repro")  # whatever other tests changed
    return folder


def test_a_killed_stage_and_a_killed_dvc_are_recovered_from(clone):
    expected = contents(clone)
    assert kill_during(clone, "prepare", is_recorded, 0.2, STAGE, "--force", "--single-item", "prepare")
    assert kill_during(clone, "report", is_recorded, 0.2, DVC, "--force", "--single-item", "report")
    assert contents(clone) != expected
    assert_recovered(clone, expected)
    assert "KILLED" in set(rows(clone)["status"])


@dataclass(frozen=True)
class Undisturbed:
    """A run stage by stage: what lay there before each, and how long each took until the next could begin."""

    snapshots: dict[str, Path]
    seconds: dict[str, float]
    outputs: dict[str, str]

    def at(self, moment: float) -> tuple[str, float]:
        """The stage that runs at a moment of the whole run, and how long it has been running."""
        for stage, seconds in self.seconds.items():
            if moment < seconds:
                return stage, moment
            moment -= seconds
        raise ValueError("after the end")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Undisturbed:
    top = tmp_path_factory.mktemp("undisturbed")
    folder = top / "clone"
    folder.mkdir()
    make_clone(folder)
    snapshots, seconds = {}, {}
    for stage in STAGES:
        snapshots[stage] = Path(shutil.copytree(folder, top / f"before_{stage}", symlinks=True))
        before = time.monotonic()
        run_stage_command(folder, "dvc", "repro", "--single-item", stage)
        seconds[stage] = time.monotonic() - before
    return Undisturbed(snapshots, seconds, contents(folder))


@pytest.mark.slow
def test_kills_at_any_moment_are_recovered_from(undisturbed, tmp_path):
    """At least KILLS moments, uniform over the run, and more until every stage was hit."""
    seed = int(os.environ.get("PIPELINE_KILL_SEED", time.time_ns() % 2**32))
    print(f"\nPIPELINE_KILL_SEED={seed}")
    draw = random.Random(seed)
    whole, hit, number = sum(undisturbed.seconds.values()), set(), 0
    while number < KILLS or not hit >= set(STAGES):
        stage, offset = undisturbed.at(draw.uniform(0, whole))
        victim = draw.choice((STAGE, DVC))
        if number >= KILLS and stage in hit:
            continue
        print(f"{number}: {victim} {offset:.2f} s into {stage} of {undisturbed.seconds[stage]:.2f} s", flush=True)
        folder = Path(shutil.copytree(undisturbed.snapshots[stage], tmp_path / "clone", symlinks=True))
        if what := kill_during(folder, stage, has_started, offset, victim):
            hit.add(what)
            number += 1
        print(f"    hit: {what or 'nothing'}", flush=True)
        assert_recovered(folder, undisturbed.outputs)
        shutil.rmtree(folder)
