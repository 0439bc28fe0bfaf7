"""Every head of the default model masked alone, against the framework's forward with a hook."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.core import paths
from pipeline.models.checkpoints import load_tuned
from pipeline.models.tokenization import encode_pairs
from tests.benchmark.workload import embedded, single_heads
from tests.support.builders import CPU, ablation_engine
from tests.support.reference import reference_logits
from tests.support.shell import REPOSITORY


def every_head(model, pairs) -> tuple[np.ndarray, np.ndarray]:
    """Masks of all 72 heads, and the engine's logits [head, pair, grade]."""
    masks = single_heads(model.config.num_hidden_layers, model.config.num_attention_heads)
    assert len(masks) == 72
    return masks, ablation_engine(model, 4096).evaluate(pairs, masks).masked_logits


def test_the_pretrained_weights():
    workload = embedded(4)
    for mask, logits in zip(*every_head(workload.model, workload.pairs), strict=True):
        np.testing.assert_allclose(logits, reference_logits(workload.model, workload.pairs, mask), atol=1e-5)


@pytest.mark.slow
def test_the_fine_tuned_default(project):
    for stage in ("prepare", "finetune"):
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        subprocess.run([sys.executable, "-m", "pipeline", stage], env=environment, check=True)
    model, tokenizer = load_tuned(paths.MODEL, CPU)
    test = pd.read_parquet(paths.TEST).iloc[:32]
    pairs = encode_pairs(tokenizer, test["query"].tolist(), test["title"].tolist(), 128)
    masks, found = every_head(model, pairs)
    framework = np.stack([reference_logits(model, pairs, mask) for mask in masks])
    exact = np.stack([reference_logits(model.double(), pairs, mask) for mask in masks])

    # On a few pairs (two of 32 seen) float32 itself is more than 1e-5 from float64, here and in the framework alike.
    assert (np.abs(found - framework).max(axis=-1) < 1e-5).mean() > 0.9
    assert np.abs(found - exact).max() < 2 * max(1e-5, np.abs(framework - exact).max())
