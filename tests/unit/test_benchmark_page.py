import numpy as np
import pandas as pd

from tests.benchmark.__main__ import Workload, page
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
