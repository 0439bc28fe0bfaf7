"""Run the whole pipeline twice, each time in a fresh clone of git HEAD, and compare every output byte for byte.

Nothing is shared between the runs but the interpreter: no DVC cache, no database, no file. Exit code 1 where any output
of the two differs, 2 where a run fails. With --threads N a third run uses N threads; its largest differences are told
and are no failure.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from tests.reproducibility.comparing import NUMERIC, difference, differing, digests

PREFIXES = ("DVC_", "GIT_", "MLFLOW_", "PIPELINE_")  # of variables that would tie a run to this project


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return check(arguments.params, arguments.threads)
    except subprocess.CalledProcessError as error:
        print(f"a run failed: {error}", file=sys.stderr)
        return 2


def check(params: Path | None, threads: int | None) -> int:
    with tempfile.TemporaryDirectory(prefix="reproducibility-") as base:
        first, second = (run(Path(base) / name, params, {}) for name in ("first", "second"))
        one, two = digests(first), digests(second)
        found = differing(one, two)
        print(f"\n{len(one)} outputs in the first run, {len(two)} in the second; {len(found)} differ", flush=True)
        if len(found):
            print(found.to_string(index=False), flush=True)
        if threads:
            third = run(Path(base) / f"threads_{threads}", params, {"OMP_NUM_THREADS": str(threads)})
            print(f"\nwith {threads} threads:\n{between(first, third).to_string(index=False)}", flush=True)
    return 1 if len(found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.reproducibility", description=__doc__)
    parser.add_argument("--params", type=Path, metavar="FILE", help="a whole params.yaml to use instead of HEAD's")
    parser.add_argument("--threads", type=int, metavar="N", help="a third run with OMP_NUM_THREADS=N")
    return parser


def run(folder: Path, params: Path | None, environment: dict[str, str]) -> Path:
    """The pipeline from nothing in a clone at `folder`; the child's output is shown."""
    print(f"\n{folder.name} run: cloning HEAD", flush=True)
    subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
    if params:
        shutil.copy(params, folder / "params.yaml")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--force", "--no-run-cache"],
        cwd=folder,
        env=kept | {"PATH": places} | environment,
        check=True,
    )
    print(f"{folder.name} run: {time.monotonic() - start:.0f} s", flush=True)
    return folder


def between(first: Path, second: Path) -> pd.DataFrame:
    """One row an output that differs: how far, in numbers where the file holds them."""
    rows = []
    for name in differing(digests(first), digests(second))["file"]:
        files = (first / name, second / name)
        if Path(name).suffix in NUMERIC and all(file.is_file() for file in files):
            apart = difference(*files)
            rows.append((name, apart.largest, apart.where, apart.other))
        else:
            rows.append((name, None, "", None))
    return pd.DataFrame(rows, columns=["file", "largest difference", "in", "other cells"])


if __name__ == "__main__":
    sys.exit(main())
