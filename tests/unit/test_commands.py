"""What the commands say of themselves, and of what a stage wrote."""

import shutil
import subprocess
import sys

import pytest
import yaml

from pipeline.__main__ import STAGES
from pipeline.core import paths
from pipeline.stages import prepare
from tests.support.shell import REPOSITORY, limited_command

COMMANDS = ("pipeline", "pipeline.compare", "pipeline.rerun", "pipeline.export", "pipeline.pruning_study")


@pytest.mark.parametrize("module", COMMANDS)
def test_help_is_plain_text_with_the_exit_codes(module: str):
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: python -m {module} ")
    assert "``" not in done.stdout
    assert "exit codes:\n  0  " in done.stdout


def test_help_has_a_line_for_each_stage():
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    declared = yaml.safe_load((REPOSITORY / paths.DVC_YAML).read_text(encoding="utf-8"))["stages"]
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [line for line in lines if line and line[0] in STAGES] == [[name, declared[name]["desc"]] for name in STAGES]


def test_a_stage_names_the_files_it_wrote(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load((REPOSITORY / paths.PARAMS).read_text(encoding="utf-8"))
    values["data"]["generated"] |= {"train_pairs": 300, "dev_pairs": 60, "test_pairs": 60}
    paths.PARAMS.write_text(yaml.safe_dump(values))
    assert limited_command(monkeypatch, "prepare") == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("prepare: wrote ")
    assert set(said.removeprefix("prepare: wrote ").split(", ")) == {
        str(path) for path in (paths.TRAIN, paths.DEV, paths.TEST, paths.REJECTED, paths.stage_metrics("prepare"))
    }


def test_a_stage_that_is_interrupted_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / paths.PARAMS, paths.PARAMS)
    monkeypatch.setattr(prepare, "main", interrupted)
    assert limited_command(monkeypatch, "prepare") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "prepare: interrupted; dvc repro goes on where it was"
