import numpy as np
import pandas as pd
import torch

from tests.benchmark import gpu
from tests.benchmark.__main__ import Workload, gpu_section, page
from tests.support.builders import random_classifier, random_pairs


def test_every_place_of_the_template_is_filled():
    workload = Workload(random_classifier("bert"), random_pairs([6, 10]))
    rows = [{"method": "engine_fp32", "seconds_per_head": 0.0123456}]
    rates = {"float32": [1e9, 3e9, 2e9]}
    tables = {
        name: pd.DataFrame({"what": [name], "value": [np.float64(2)]}) for name in ("long_texts", "scaling", "memory")
    }
    text = page(workload, rows, rates, tables)
    assert "{{" not in text
    assert "2 pairs of 8.0 tokens on average (6 to 10)" in text
    assert "float32 2 GFLOP/s" in text
    assert "| engine_fp32 | 0.0123 |" in text
    assert all(f"| {name} | 2 |" in text for name in tables)


def test_without_a_gpu_the_committed_section_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("tests.benchmark.__main__.PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text("# Page\n\n## On a GPU\n\nAs it was, 3.1 s.\n")
    assert gpu_section() == "As it was, 3.1 s."


def test_the_gpus_section_measures_every_precision_that_the_device_has():
    small = gpu.Scale(layers=2, heads=2, hidden=16, pairs=6, tokens=(24, 2))
    text = gpu.section(torch.device("cpu"), small)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == ["| sorted, float32", "| engine, float32", "| engine, bfloat16"]
    assert "6 pairs of 24 tokens, every head of a model of 2 layers x 2 heads" in text
    assert rows[3][2] == "1"
    assert all(float(row[1]) > 0 for row in rows[2:])
