"""A copy of the project small enough to run whole: a tiny table, a random BERT, the real dvc.yaml."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline.__main__ import STAGES
from pipeline.corpus.generated import generate

REPOSITORY = Path(__file__).parents[1]
PATIENCE = 120.0  # seconds to wait for what is certain to come
TABLE = Path("data/raw/pairs.tsv")

TINY = {
    "base": {"draws": 200},
    "data": {"source": TABLE.as_posix(), "slices": ["phenomenon"]},
    "model": {"name": "scratch", "scratch": {"layers": 2, "heads": 2, "hidden": 32, "vocabulary": 500}},
    "finetune": {"epochs": 1},
    "baseline": {"epochs": 2, "embedding": 8, "hidden": 8},
    "ablation": {"max_pairs": 60, "replaced_pairs": 20},
    "group_ablation": {"k": 1, "random_shares": [0.5], "draws": 2, "control_draws": 2, "groups": {"mine": [[0, 1]]}},
    "attention": {"max_pairs": 60, "showcase_pairs": 1, "drift_null": True},
    "report": {"showcase_heads": 1},
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


def run(folder: Path, *command: str, **variables: str) -> str:
    """What the command printed. Fails where the command does."""
    done = subprocess.run(
        command, cwd=folder, env=environment() | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def copy_project(folder: Path) -> None:
    """A git clone of the working tree, what is not committed yet included, without any result."""
    listed = run(REPOSITORY, "git", "ls-files", "--cached", "--others", "--exclude-standard").split("\n")
    for name in filter(None, listed):
        if not name.startswith("reports/") and name != "dvc.lock" and (REPOSITORY / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", "copy")


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
    for section, changes in TINY.items():
        params[section].update(changes)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    tiny_table().to_csv(folder / TABLE, sep="\t", index=False)


def awaited(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first true value of `what()`."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if value := what():
            return value
        time.sleep(0.02)
    raise TimeoutError(f"nothing after {patience} s")
