"""BM25 by the formula, worked by hand on three titles; of Chinese; of queries without words."""

import os
import subprocess
import sys
from math import log
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.baselines.bm25 import bm25_ndcg, bm25_scores

TITLES = ["red shoe red", "Blue hat!", "red hat of a long name"]  # of 3, 2 and 6 words


def pairs(*rows):
    return pd.DataFrame(rows, columns=["query_id", "query", "title", "grade"])


def weight(holding: int, count: int, words: int, titles: int = 3, mean: float = 11 / 3) -> float:
    """Share in the score of a word that `holding` titles hold, this one of so many words `count` times."""
    return log(1 + (titles - holding + 0.5) / (holding + 0.5)) * count / (count + 1.5 * (0.25 + 0.75 * words / mean))


def test_scores_worked_by_hand():
    split = pairs(*[(1, "RED hat, zebra", title, 0) for title in TITLES], (2, "?!", TITLES[0], 0))
    assert bm25_scores({"test": split})["test"] == pytest.approx(
        [weight(2, 2, 3), weight(2, 1, 2), weight(2, 1, 6) + weight(2, 1, 6), 0], abs=1e-12
    )


def test_titles_of_all_splits_count_once_and_in_any_order():
    train = pairs((1, "red", TITLES[0], 0), (2, "hat", TITLES[0], 0), (1, "red", TITLES[1], 0))
    test = pairs((3, "hat", TITLES[2], 0), (4, "red", TITLES[0], 0), (3, "hat", TITLES[1], 0))
    test.index = [7, 7, 2]
    scores = bm25_scores({"train": train, "test": test})
    assert scores["train"] == pytest.approx([weight(2, 2, 3), 0, 0], abs=1e-12)
    assert scores["test"] == pytest.approx([weight(2, 1, 6), weight(2, 2, 3), weight(2, 1, 2)], abs=1e-12)


def test_chinese_words_count():
    split = pairs((1, "红色", "红色的鞋", 1), (1, "红色", "蓝色帽子", 0), (1, "红色", "red", 0))
    scores = bm25_scores({"dev": split})["dev"]
    assert scores[0] > 0
    assert scores[1:].tolist() == [0, 0]


def test_ndcg_of_the_order_and_of_a_tie():
    split = pairs((1, "q", "a", 0), (1, "q", "b", 1), (2, "q", "a", 0), (2, "q", "b", 1))
    scores = {"dev": np.array([1.0, 2.0, 0.0, 0.0])}
    assert bm25_ndcg({"dev": split}, scores)["dev_bm25_ndcg_at_10"] == pytest.approx((1 + (1 + 1 / np.log2(3)) / 2) / 2)
    assert bm25_ndcg({"dev": split.assign(grade=0.0)}, scores) == {"dev_bm25_ndcg_at_10": None}


def test_no_gpu_is_taken_where_jax_is_installed(tmp_path: Path):
    stand_in = (
        "import os, types\nassert os.environ['JAX_PLATFORMS'] == 'cpu'\ntop_k = lambda array, k: print('computed')\n"
    )
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax/__init__.py").write_text("")
    (tmp_path / "jax/lax.py").write_text(stand_in)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}
    environment.pop("JAX_PLATFORMS", None)
    command = [sys.executable, "-c", "import pipeline.baselines.bm25"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "computed\n"), done.stderr
