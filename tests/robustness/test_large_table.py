"""A table of 200 MB is prepared in minutes, and in memory of a few times its size."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.core import paths
from tests.support.shell import REPOSITORY

SIZE = 200_000_000  # bytes
TIMES = 8  # the table's size that the process may take at most, its libraries counted; measured: 5.6
TITLES = 20  # of each query
# What getrusage tells of a child begins at its parent's peak, which other tests raise.
STAGE = """
from pathlib import Path
from pipeline.core.config import load_params
from pipeline.stages import prepare
from pipeline.tracking import Record
prepare.main(load_params(), Record())
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
Path("peak").write_text(status["VmHWM"].removesuffix("kB"))
"""


def write_table(path: Path) -> int:
    """Pairs of short texts, as a search log has them; returns their number."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(5000)]
    pairs = 0
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        file.write("query,title,grade\n")
        while file.tell() < SIZE:
            query = f"{' '.join(rng.choices(words, k=3))} {pairs}"
            for _ in range(TITLES):
                file.write(f"{query},{' '.join(rng.choices(words, k=9))} {pairs},{rng.randint(1, 5)}\n")
                pairs += 1
    return pairs


@pytest.mark.slow
def test_a_table_of_200_megabytes(tmp_path: Path):
    values = yaml.safe_load((REPOSITORY / paths.PARAMS).read_text(encoding="utf-8"))
    values["data"]["source"] = str(paths.RAW / "large.csv")
    (tmp_path / paths.PARAMS).write_text(yaml.safe_dump(values))
    pairs = write_table(tmp_path / paths.RAW / "large.csv")
    start = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", STAGE], cwd=tmp_path, env=environment, check=True)
    peak = 1024 * int((tmp_path / "peak").read_text())
    print(f"{pairs} pairs, {time.monotonic() - start:.0f} s, {peak / 1e9:.2f} GB")
    assert peak < TIMES * SIZE
    splits = [pd.read_parquet(tmp_path / path, columns=["title"]) for path in (paths.TRAIN, paths.DEV, paths.TEST)]
    assert sum(map(len, splits)) == pairs
