"""Clones, stand-in pipelines and child processes under faults."""

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline import tracking
from pipeline.__main__ import STAGES, main
from pipeline.compare.run_results import RESULT_FILES, STAGE_METRICS
from pipeline.core import paths
from pipeline.data.synthetic import generate
from pipeline.tracking import Record

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 120.0  # seconds to wait for what is certain to come
TINY_TABLE = Path("data/raw/pairs.tsv")

TINY_PARAMS = {
    "run": {"bootstrap_resamples": 200},
    "data": {"source": TINY_TABLE.as_posix(), "slices": ["phenomenon"]},
    "model": {"name": "scratch", "scratch": {"layers": 2, "heads": 2, "hidden": 32, "vocabulary": 500}},
    "training": {"max_epochs": 1},
    "bilstm": {"embedding": 8, "hidden": 8},
    "head_ablation": {"max_pairs": 60, "mean_resample_pairs": 20},
    "group_ablation": {
        "max_pairs": 60,
        "k": 1,
        "random_shares": [0.5],
        "random_groups_per_share": 2,
        "random_groups_per_safe_share": 2,
        "random_control_groups": 2,
        "groups": {"mine": [[0, 1]]},
    },
    "attention": {"max_pairs": 60, "example_pairs": 1, "drift_null": True},
    "report": {"example_heads": 1},
}


def environment() -> dict[str, str]:
    """As a person's shell has it who activated the virtual environment; one thread, since tests share the machine."""
    found = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    for name in ("MLFLOW_TRACKING_URI", "PIPELINE_RUN_KEY", "DVC_ROOT", "DVC_STAGE"):
        found.pop(name, None)
    return found


def run_stage_command(folder: Path, *command: str, **variables: str) -> str:
    """What the command printed. Fails where the command does."""
    done = subprocess.run(
        command, cwd=folder, env=environment() | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def copy_project(folder: Path) -> None:
    """A git clone of the working tree, what is not committed yet included, without any result."""
    listed = run_stage_command(REPOSITORY, "git", "ls-files", "--cached", "--others", "--exclude-standard").split("\n")
    for name in filter(None, listed):
        if not name.startswith("reports/") and name != "dvc.lock" and (REPOSITORY / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target)
    run_stage_command(folder, "git", "init", "--quiet")
    run_stage_command(folder, "git", "add", "--all")
    run_stage_command(
        folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", "copy"
    )


def tiny_table() -> pd.DataFrame:
    pairs = generate(language="en", train_pairs=300, dev_pairs=60, test_pairs=90, label_noise=0.0, seed=3)
    return pairs.assign(grade=pairs["grade"] + 1)[["query", "title", "grade", "phenomenon"]].drop_duplicates(
        ["query", "title"]
    )


def executed(output: str) -> set[str]:
    return {stage for stage in STAGES if f"Running stage '{stage}'" in output}


def files(folder: Path, *below: str) -> set[str]:
    found = (path for top in below for path in (folder / top).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found}


def make_clone(folder: Path) -> None:
    """The project with tiny params and a table of its own, nothing run."""
    copy_project(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    for section, changes in TINY_PARAMS.items():
        params[section].update(changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    tiny_table().to_csv(folder / TINY_TABLE, sep="\t", index=False, quoting=csv.QUOTE_NONE)


def awaited(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first true value of `what()`."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if value := what():
            return value
        time.sleep(0.02)
    raise TimeoutError(f"nothing after {patience} s")


CHANGE = "relative_accuracy_change"
HEADS_HEADER = f"layer,head,{CHANGE},{CHANGE}_low,{CHANGE}_high,log_loss_to_constant,verdict"
GIVEN = Path("given.json")  # what the stage is to find: see `give`
BIG = Path("data/big.bin")  # the one output that dvc caches and pushes
STARTED, ENDED, GO = "started", "ended", "go"  # files by which a waiting stage and a test find each other

STAGE = f"""
import json, sys, time
from pathlib import Path

given = json.loads(Path("given.json").read_text())
if given["do"] == "fail":
    sys.exit("prepare: row 7 has no grade")
if given["do"] == "wait":
    try:
        Path("{STARTED}").touch()
        end = time.monotonic() + 60
        while not Path("{GO}").exists() and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        Path("{ENDED}").touch()
for name, text in given["files"].items():
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
"""
KEEP = 'python -c "from pipeline.rerun.previous import keep_published; keep_published()"'
RESULTS = [path.as_posix() for path in RESULT_FILES if path != paths.PARAMS]
STAND_IN_PIPELINE = {
    "stages": {
        "prepare": {
            "cmd": "python stage.py",
            "deps": [GIVEN.as_posix()],
            "outs": [BIG.as_posix(), *({name: {"cache": False}} for name in RESULTS)],
        },
        "publish": {"cmd": KEEP, "deps": [paths.FINDINGS.as_posix()], "always_changed": True},
    }
}


def create_stand_in(folder: Path) -> None:
    folder.mkdir()
    shutil.copy(REPOSITORY / "params.yaml", folder)
    (folder / "stage.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(STAND_IN_PIPELINE))
    (folder / ".gitignore").write_text(".tracking\n")
    give(folder)
    run_command(folder, "git", "init", "--quiet")
    run_command(folder, "dvc", "init", "--quiet")
    run_command(folder, "dvc", "config", "core.analytics", "false")


def give(folder: Path, do="write", accuracy=0.8, needed=((0, 0),), verdict="agrees") -> None:
    """Choose what the next run finds: two layers of two heads, one finding."""
    heads = [
        f"{layer},{head},-0.1,-0.2,0.0,0.1,{'needed' if (layer, head) in needed else 'no effect'}"
        for layer in range(2)
        for head in range(2)
    ]
    files = dict.fromkeys((path.as_posix() for path in STAGE_METRICS.values()), "{}") | {
        paths.HEADLINE.as_posix(): json.dumps({"test_accuracy": accuracy}),
        paths.HEADS.as_posix(): "\n".join([HEADS_HEADER, *heads]),
        paths.LABELS.as_posix(): "layer,head,function,is_labelled\n0,0,term_match,True\n",
        paths.FINDINGS.as_posix(): json.dumps([{"id": "F3", "verdict": verdict}]),
        BIG.as_posix(): "big",
    }
    (folder / GIVEN).write_text(json.dumps({"do": do, "files": files}))


def set_remote(folder: Path, place: Path) -> None:
    """As `dvc remote add --default share`."""
    with (folder / ".dvc/config").open("a", encoding="utf-8") as config:
        config.write(f"""    remote = share\n['remote "share"']\n    url = {place}\n""")


def commit(folder: Path) -> None:
    run_command(folder, "git", "add", "--all")
    run_command(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", "results")


def run_command(folder: Path, *command: str) -> None:
    programs = {"git": ["git"], "dvc": [sys.executable, "-m", "dvc"]}
    subprocess.run([*programs[command[0]], *command[1:]], cwd=folder, check=True, capture_output=True)


def start(folder: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """A rerun as cron starts it: nothing of the virtual environment on PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GITHUB_"))}
    environment = {"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.rerun", *options],
        cwd=folder,
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rerun(folder: Path, *options: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = start(folder, *options, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def limited_command(monkeypatch: pytest.MonkeyPatch, stage: str) -> int:
    """`python -m pipeline STAGE` in this process, untracked: its exit code."""
    monkeypatch.setattr(sys, "argv", ["pipeline", stage])
    monkeypatch.setattr(tracking, "stage", lambda name, params: nullcontext(Record()))
    return main()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """A small file system of its own at `folder`, where the system allows that; yields whether it does."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remounted_read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def in_child(task: Callable[[], None], largest: int) -> str:
    """What `task` raised, as text, in a forked process whose files the system cuts at `largest` bytes."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        said = "nothing"
        try:
            task()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said
