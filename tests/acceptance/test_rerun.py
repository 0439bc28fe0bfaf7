"""Reruns of a stand-in pipeline under real dvc: every exit code is caused, none is made up."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.core import paths
from pipeline.rerun.dvc_process import LockHeld, rerun_lock
from tests.support import shell
from tests.support.shell import REPOSITORY, awaited

LOCK = Path(".tracking/rerun.lock")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, str, str]]:
    """A project whose first rerun has ended, and how."""
    folder = tmp_path_factory.mktemp("stand_in") / "first"
    shell.create_stand_in(folder)
    return folder, shell.rerun(folder)


@pytest.fixture
def clone(first, tmp_path: Path) -> Path:
    """A copy of that project for one test."""
    return Path(shutil.copytree(first[0], tmp_path / "clone"))


def summary(folder: Path) -> str:
    return (folder / paths.RERUN).read_text(encoding="utf-8")


def test_a_first_rerun_has_nothing_to_compare_with(first):
    folder, (code, out, _) = first
    assert code == 0
    assert "Running stage 'prepare':" in out
    assert "stages that ran: prepare" in summary(folder)
    assert "no run has been published here, and git has no commit" in summary(folder)


def test_nothing_changed_though_all_ran_again_and_the_job_is_told(clone, tmp_path):
    (tmp_path / "job.md").write_text("before\n")
    job = str(tmp_path / "job.md")
    code, out, err = shell.rerun(clone, "--force", "--summary", "told/here.md", GITHUB_STEP_SUMMARY=job)
    text = (clone / "told/here.md").read_text(encoding="utf-8")
    assert (code, err) == (0, "")
    assert text.startswith("# Rerun: nothing changed\n\nExit code 0.\n\n- compared with the run published last\n")
    assert "- stages that ran: prepare\n" in text
    assert out.endswith(text)
    assert (tmp_path / "job.md").read_text() == "before\n" + text


def test_a_change_within_the_limits_is_told(clone):
    shell.give(clone, accuracy=0.79, verdict="cannot tell")
    assert shell.rerun(clone)[0] == 0
    assert "# Rerun: within the limits" in summary(clone)
    assert "- headline/test_accuracy 0.8000 -> 0.7900 (-0.0100)\n" in summary(clone)
    assert "- findings: F3 agrees -> cannot tell\n" in summary(clone)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"accuracy": 0.77}, "headline/test_accuracy 0.8000 -> 0.7700 (-0.0300); limits.accuracy_drop is 0.02"),
        ({"needed": [(0, 0), (1, 1)]}, "needed heads: layer 1 head 1 became needed; limits.needed_heads is 0"),
        ({"verdict": "differs"}, "findings: F3 agrees -> differs; limits.findings is 0"),
    ],
)
def test_a_broken_limit_is_code_3(clone, given, said):
    shell.give(clone, **given)
    assert shell.rerun(clone)[0] == 3
    assert f"# Rerun: a limit is broken\n\nExit code 3.\n\n- **broken:** {said}" in summary(clone)


def test_a_failing_stage_is_code_4_and_is_named_with_its_message(clone):
    shell.give(clone, do="fail")
    assert shell.rerun(clone)[0] == 4
    assert "# Rerun: stage prepare failed" in summary(clone)
    assert "    prepare: row 7 has no grade\n    ERROR: failed to reproduce 'prepare'" in summary(clone)


def test_a_fresh_clone_is_compared_with_what_is_committed(clone):
    shell.commit(clone)
    shutil.rmtree(clone / ".tracking")
    shell.give(clone, verdict="differs")
    assert shell.rerun(clone)[0] == 3
    assert "- compared with the results committed at git HEAD\n" in summary(clone)


HOLDER = """
import sys, time
from pathlib import Path
from pipeline.rerun.dvc_process import rerun_lock
with rerun_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_held_lock_is_code_5_names_its_holder_and_touches_nothing(clone):
    (clone / paths.RERUN).unlink()
    command = [sys.executable, "-c", HOLDER, str(LOCK)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        code, out, err = shell.rerun(clone)
        holder.kill()
    assert (code, out) == (5, "")
    assert err == f"rerun: another rerun is running (pid {holder.pid}); this one stops\n"
    assert not (clone / paths.RERUN).exists()


def test_a_remote_that_is_not_there_is_code_6(clone):
    shell.set_remote(clone, clone / "nowhere")
    code, out, _ = shell.rerun(clone)
    assert code == 6
    assert "the DVC remote share is the folder" in summary(clone)
    assert "Running stage" not in out


def test_what_was_pushed_is_pulled_instead_of_computed_but_an_edit_is_kept(clone):
    """A stage that was killed left something else in an output's place; then a user edits a table without adding it."""
    (clone / "remote").mkdir()
    shell.set_remote(clone, clone / "remote")
    table = clone / "data/table.tsv"
    table.write_text("added")
    shell.run_command(clone, "dvc", "add", "data/table.tsv")
    shell.run_command(clone, "dvc", "push")
    shutil.rmtree(clone / ".dvc/cache")
    (clone / shell.BIG).write_text("half")
    assert shell.rerun(clone)[0] == 0
    assert (clone / shell.BIG).read_text() == "big"
    assert "- stages that ran: none\n" in summary(clone)

    table.write_text("edited")
    assert shell.rerun(clone)[0] == 6
    assert "Can't remove the following unsaved files" in summary(clone)
    assert table.read_text() == "edited"


def test_wrong_params_are_code_2(clone):
    text = (clone / "params.yaml").read_text(encoding="utf-8")
    (clone / "params.yaml").write_text(text.replace("accuracy_drop: 0.02", "accuracy_drop: 2"), encoding="utf-8")
    code, out, _ = shell.rerun(clone)
    assert code == 2
    assert "limits.accuracy_drop is 2; it must be 1.0 or less" in summary(clone)
    assert "Running stage" not in out


def test_outside_a_project_nothing_is_written_and_the_code_is_2(tmp_path):
    code, _, err = shell.rerun(tmp_path)
    assert (code, err) == (2, "rerun: dvc.yaml is missing; run from the project's root\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_rerun_ends_dvc_and_its_stage(clone, sent, code):
    shell.give(clone, do="wait")
    process = shell.start(clone)
    awaited((clone / shell.STARTED).exists)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert len(family) >= 2
    assert not any(child.is_running() for child in family)
    assert (clone / shell.ENDED).exists(), "the stage could not tidy up"
    assert f"stopped by {sent.name}" in summary(clone)


def test_the_lock_outlives_a_killed_rerun_while_its_dvc_lives(clone):
    shell.give(clone, do="wait")
    process = shell.start(clone)
    awaited((clone / shell.STARTED).exists)
    [dvc] = psutil.Process(process.pid).children()
    process.kill()
    process.communicate(timeout=60)
    code, _, err = shell.rerun(clone)
    assert (code, err) == (5, f"rerun: another rerun is running (pid {dvc.pid}); this one stops\n")
    (clone / shell.GO).touch()
    awaited(lambda: not dvc.is_running() or dvc.status() == psutil.STATUS_ZOMBIE)
    assert (clone / paths.FINDINGS).exists(), "dvc did not finish without its rerun"
    with rerun_lock(clone / LOCK), pytest.raises(LockHeld), rerun_lock(clone / LOCK):
        pass
