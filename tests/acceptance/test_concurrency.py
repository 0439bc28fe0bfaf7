"""Executions at the same moment, under the real dvc: in one clone, and as experiments beside each other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow.entities import Run

from pipeline.core import process
from pipeline.core.config import load_params
from pipeline.core.errors import InputError
from pipeline.core.process import stage_lock
from tests.support.shell import REPOSITORY
from tests.support.tracking import runs

EXPERIMENT = "at-once"
STAGE = """
import json, sys, time
from pathlib import Path
from pipeline import tracking
from pipeline.core.process import stage_lock
from pipeline.core.config import load_params
params = load_params()
with stage_lock("prepare"), tracking.stage("prepare", params) as record:
    time.sleep(3)
    out = Path("reports/prepare/metrics.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"pairs": params.run.seed}))
    record.artifacts = [out]
    record.metrics = {"pairs": params.run.seed}
"""
OUT = "reports/prepare/metrics.json"
PIPELINE = {
    "stages": {
        "prepare": {"cmd": "python stage.py", "params": ["run.seed"], "deps": ["stage.py"], "metrics": [OUT]},
        "publish": {"cmd": "python -m pipeline publish", "deps": [OUT], "always_changed": True},
    }
}


@pytest.fixture
def repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in pipeline, committed; its database new to it."""
    monkeypatch.delenv("PIPELINE_RUN_KEY")
    monkeypatch.delenv("DVC_ROOT")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("experiment: head-analysis", f"experiment: {EXPERIMENT}"))
    Path("stage.py").write_text(STAGE)
    Path("dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    Path(".gitignore").write_text("/mlflow.db*\n/mlartifacts/\n/.tracking/\n/.cache/\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (
        [*git, "init", "-q"],
        ["dvc", "init", "-q"],
        ["dvc", "config", "core.analytics", "false"],
        [*git, "add", "--all"],
        [*git, "commit", "-qm", "stand-in"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return project


def at_once(*commands: list[str]) -> list[int]:
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands]
    return [process.wait(timeout=300) for process in started]


def parents(found: list[Run]) -> list[Run]:
    return [run for run in found if run.data.tags["pipeline.kind"] == "pipeline"]


@pytest.mark.slow
def test_experiments_beside_each_other_have_a_row_each(repository):
    experiments = [["dvc", "exp", "run", "--temp", "-S", f"run.seed={seed}"] for seed in (1, 2)]
    assert at_once(*experiments) == [0, 0]
    found = runs(repository, EXPERIMENT)
    assert {run.info.status for run in found} == {"FINISHED"}
    whole = {run.info.run_id: run for run in parents(found)}
    assert sorted(run.data.params["run.seed"] for run in whole.values()) == ["1", "2"]
    stages = [run for run in found if run.info.run_id not in whole]
    assert len(stages) == 2
    for run in stages:  # each below the row of its own execution
        parent = whole[run.data.tags["mlflow.parentRunId"]]
        assert run.data.metrics["data/pairs"] == float(parent.data.params["run.seed"])


@pytest.mark.parametrize(
    "options", [pytest.param(["--temp"], marks=pytest.mark.slow), []], ids=["in a copy", "in the working tree"]
)
def test_an_experiment_takes_the_users_own_group_from_the_command_line(repository, options):
    """As params.yaml says; `groups={mine: ...}` is refused by DVC, since the file has an empty `groups`."""
    group = "+group_ablation.groups.mine=[[1,1],[2,9]]"
    assert at_once(["dvc", "exp", "run", *options, "-S", group, "-S", "run.seed=2"]) == [0]
    [parent] = parents(runs(repository, EXPERIMENT))
    assert parent.data.params["group_ablation.groups"] == '{"mine": [[1, 1], [2, 9]]}'
    expected = {} if options else {"mine": [[1, 1], [2, 9]]}
    assert load_params().group_ablation.groups == expected
    assert group in (REPOSITORY / "params.yaml").read_text(encoding="utf-8")


def test_two_runs_of_one_clone_leave_one_whole_result(repository):
    codes = at_once(["dvc", "repro"], ["dvc", "repro"])
    assert 0 in codes
    assert set(codes) <= {0, 255}  # the later one finds the stage busy, or nothing to do
    done = subprocess.run(["dvc", "repro"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(Path(OUT).read_text()) == {"pairs": 13}
    found = runs(repository, EXPERIMENT)
    assert {run.info.status for run in found} == {"FINISHED"}
    assert [run.info.run_name for run in found if run not in parents(found)] == ["prepare"]


HOLD = """
import sys, time
from pipeline.core.process import stage_lock
with stage_lock("prepare"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_stage_that_another_process_runs_is_refused(repository, monkeypatch):
    monkeypatch.setattr(process, "LOCK_TIMEOUT", 0.2)
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another process runs prepare in this folder"), stage_lock("prepare"):
            pass
    finally:
        holder.kill()
        holder.wait()
    with stage_lock("prepare"):  # the lock went with its process
        pass
