"""A pipeline that ends at once with results of one's own choice, under real git and dvc, and reruns of it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline import paths
from pipeline.runs.outcome import FILES, METRICS
from tests.conftest import REPOSITORY

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
KEEP = 'python -c "from pipeline.runs import last; last.keep()"'
RESULTS = [path.as_posix() for path in FILES if path != paths.PARAMS]
PIPELINE = {
    "stages": {
        "prepare": {
            "cmd": "python stage.py",
            "deps": [GIVEN.as_posix()],
            "outs": [BIG.as_posix(), *({name: {"cache": False}} for name in RESULTS)],
        },
        "publish": {"cmd": KEEP, "deps": [paths.FINDINGS.as_posix()], "always_changed": True},
    }
}


def create(folder: Path) -> None:
    folder.mkdir()
    shutil.copy(REPOSITORY / "params.yaml", folder)
    (folder / "stage.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    (folder / ".gitignore").write_text(".tracking\n")
    give(folder)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "config", "core.analytics", "false")


def give(folder: Path, do="write", accuracy=0.8, needed=((0, 0),), verdict="agrees") -> None:
    """Choose what the next run finds: two layers of two heads, one finding."""
    heads = [
        f"{layer},{head},-0.1,{'needed' if (layer, head) in needed else 'no detectable effect'}"
        for layer in range(2)
        for head in range(2)
    ]
    files = dict.fromkeys((path.as_posix() for path in METRICS.values()), "{}") | {
        paths.FINETUNE_METRICS.as_posix(): json.dumps({"test_accuracy": accuracy}),
        paths.HEADS.as_posix(): "\n".join(["layer,head,relative_accuracy_change,verdict", *heads]),
        paths.LABELS.as_posix(): "layer,head,function,label\n0,0,term_match,True\n",
        paths.FINDINGS.as_posix(): json.dumps([{"id": "F3", "verdict": verdict}]),
        BIG.as_posix(): "big",
    }
    (folder / GIVEN).write_text(json.dumps({"do": do, "files": files}))


def set_remote(folder: Path, place: Path) -> None:
    """As `dvc remote add --default share`."""
    with (folder / ".dvc/config").open("a", encoding="utf-8") as config:
        config.write(f"""    remote = share\n['remote "share"']\n    url = {place}\n""")


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", "results")


def run(folder: Path, *command: str) -> None:
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
