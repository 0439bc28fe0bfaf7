"""What is read from dvc's output: the stages that ran, the one that failed, and what it said last."""

import sys

from pipeline.rerun import dvc_process
from pipeline.rerun.dvc_process import Dvc, DvcOutcome

OUTPUT = """\
Stage 'prepare' didn't change, skipping
Running stage 'finetune':
> python -m pipeline finetune
\repoch 1\repoch 2\repoch 3\r
Updating lock file 'dvc.lock'

Running stage 'attention':
> python -m pipeline attention
\rpairs 1\rpairs 2
attention: params.yaml: the fix
ERROR: failed to reproduce 'attention': failed to run: python -m pipeline attention, exited with 2
"""


def test_the_stages_that_ran_and_the_one_that_failed():
    done = DvcOutcome(255, OUTPUT)
    assert done.ran == ["finetune", "attention"]
    assert done.failed_stage == "attention"
    assert done.message.splitlines() == [
        "pairs 2",
        "attention: params.yaml: the fix",
        "ERROR: failed to reproduce 'attention': failed to run: python -m pipeline attention, exited with 2",
    ]


def test_a_failure_of_dvc_itself_names_no_stage_and_a_killed_dvc_its_signal():
    done = DvcOutcome(-9, "\n".join(f"line {number}" for number in range(100)))
    assert (done.ran, done.failed_stage) == ([], None)
    assert done.message.splitlines() == [f"line {number}" for number in range(85, 100)] + ["dvc was ended by SIGKILL"]


def test_progress_bars_of_a_real_child_are_told_as_they_ended(tmp_path, monkeypatch):
    script = (
        "import sys; sys.stdout.write('\\r'.join(f'step {n}' for n in range(50)) + '\\nthe reason\\n'); sys.exit(3)"
    )
    monkeypatch.setattr(dvc_process, "command", lambda *_: [sys.executable, "-c", script])
    with open(tmp_path / "lock", "w") as held:
        done = Dvc(held.fileno(), [], tmp_path / "log").run("repro")
    assert (done.code, done.message.splitlines()) == (3, ["step 49", "the reason"])
