"""When a rerun takes the alias from the model it made: where a limit broke and it fine-tuned, and only then."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.compare.run_results import run_in_folder
from pipeline.rerun import __main__ as command
from pipeline.rerun.__main__ import _rerun
from pipeline.rerun.dvc_process import DvcOutcome
from pipeline.rerun.summary import KEPT, LIMIT_BROKEN
from tests.support import shell


class Ran:
    """Stands for a dvc that ran one stage."""

    def __init__(self, stage: str):
        self.output = f"Running stage '{stage}':\n> python -m pipeline {stage}\n"

    def run(self, *_: str) -> DvcOutcome:
        return DvcOutcome(0, self.output)


def results(folder: Path, **given) -> Path:
    """A folder of a run's files, as `stand_in.give` takes them."""
    folder.mkdir()
    shutil.copy(shell.REPOSITORY / "params.yaml", folder)
    shell.give(folder, **given)
    for name, text in json.loads((folder / shell.GIVEN).read_text())["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("stage", "accuracy", "code", "asked"),
    [
        ("finetune", 0.7, LIMIT_BROKEN, ["registered model's"]),
        ("pruning", 0.7, LIMIT_BROKEN, ["pruned model's"]),
        ("report", 0.7, LIMIT_BROKEN, []),
        ("finetune", 0.8, KEPT, []),
    ],
)
def test_the_alias_is_taken_back(tmp_path, monkeypatch, stage, accuracy, code, asked):
    before = run_in_folder("before", results(tmp_path / "before", accuracy=0.8))
    monkeypatch.chdir(results(tmp_path / "now", accuracy=accuracy))
    monkeypatch.setattr(command, "previous_run", lambda kind: before)
    monkeypatch.setattr(command, "pull", lambda dvc: None)
    calls = []
    monkeypatch.setattr(command, "roll_back_model", lambda name, stage, since: calls.append((name, stage)) or "4")
    report = _rerun(Ran(stage), [])
    assert (report.code, calls) == (code, [("head-analysis", stage)] if asked else [])
    said = [point for point in report.points if "alias" in point]
    assert said == [f"the {whose} alias is back at version 4" for whose in asked]
