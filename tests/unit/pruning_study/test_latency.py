"""Latencies of tiny models: what is called, compared and counted."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.models.checkpoints import save_tuned
from pipeline.models.removal import Kept, pruned_model
from pipeline.pruning_study import latency
from tests.support.builders import colour_pairs, random_classifier, tiny_tokenizer


@pytest.mark.slow
def test_each_model_runtime_and_batch_is_timed_and_the_runtimes_agree(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(latency, "CALLS", 4)
    model = random_classifier("bert", layers=2)
    kept = Kept(np.array([[True, False, True], [False, True, False]]), np.ones((2, 40), dtype=bool))
    save_tuned(model, tiny_tokenizer(), tmp_path / "full")
    save_tuned(pruned_model(model, kept), tiny_tokenizer(), tmp_path / "small", kept)
    models = {name: tmp_path / name for name in ("full", "small")}
    found = latency.measure_latency(models, colour_pairs(80), 16, tmp_path)
    rows = found["latency"]
    assert len(rows) == len({(row["model"], row["runtime"], row["threads"], row["batch"]) for row in rows}) == 24
    assert all(0 < row["p50_ms"] <= row["p95_ms"] for row in rows)
    assert found["sizes"]["small"] < found["sizes"]["full"]
    assert max(found["onnx_difference"].values()) < 1e-5
