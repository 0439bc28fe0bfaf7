"""The engine and a stage on a GPU beside a CPU: `make test-gpu`. Skipped where there is no GPU."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.ablation.precision import BFLOAT16, FLOAT32, TF32
from pipeline.ablation.sweep import Decisions, rounded_sweep
from pipeline.core import paths
from pipeline.models.checkpoints import save_tuned
from pipeline.stages import head_ablation
from pipeline.stats.measure_sets import GRADER
from pipeline.tables.prepare import SPLIT_TABLES, UNLABELLED
from tests.support.builders import (
    ablation_engine,
    colour_pairs,
    params_with,
    random_classifier,
    random_pairs,
    run_stage,
    tiny_tokenizer,
)
from tests.support.reference import reference_logits

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

GPU = torch.device("cuda")
MASKS = np.random.default_rng(1).choice([0.0, 1.0], (12, 3, 3)).astype(np.float32)
PAIRS = random_pairs([6, 9, 9, 14, 7, 6, 11, 70] * 4)  # short, and long enough for the fused attention kernel
MORE_PAIRS = random_pairs([6, 9, 9, 14, 7, 6, 11, 70] * 40)  # so that some calls are close in TF32 too
FEW, MANY = 100, 1000  # masks


def classifier(family="bert"):
    return random_classifier(family, layers=3, max_position_embeddings=80)


def engine(precision=FLOAT32, family="bert", batch_tokens=500, model=None):
    return ablation_engine((model or classifier(family)).to(GPU), batch_tokens, precision)


def undecided():
    """A model that has no favourite among the grades, so that many calls are close."""
    model = classifier()
    with torch.no_grad():
        model.classifier.bias -= torch.from_numpy(reference_logits(model, PAIRS, np.ones((3, 3)))).mean(dim=0)
    return model


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "modernbert", "deberta-v2"])
def test_logits_are_those_of_the_frameworks_forward_on_a_cpu(family):
    model = classifier(family)
    expected = np.array([reference_logits(model, PAIRS, mask) for mask in MASKS])
    logits = engine(family=family).evaluate(PAIRS, MASKS).masked_logits
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("precision", [TF32, BFLOAT16], ids=lambda precision: precision.name)
def test_less_than_float32_rounds_and_decides_as_float32(precision):
    precision.check_device(GPU)
    decisions, model = Decisions(GRADER, np.arange(len(MORE_PAIRS)) // 4), undecided()
    exact = engine(model=model).evaluate(MORE_PAIRS, MASKS).logits
    result = rounded_sweep(engine(model=model), engine(precision, model=model), MORE_PAIRS, MASKS, decisions)
    error, evaluated_again = result.precision_report.values()
    assert 1e-6 < error < precision.error_bound * np.abs(exact).max()
    assert 0 < evaluated_again < 1
    assert (result.unmasked_logits.argmax(-1) == exact[0].argmax(-1)).all()
    assert (result.logits.argmax(-1) == exact.argmax(-1)).mean() > 0.95


def test_tf32_rounds_less_than_bfloat16():
    exact = engine().unmasked(PAIRS).logits
    tf32, bfloat16 = (np.abs(engine(precision).unmasked(PAIRS).logits - exact).max() for precision in (TF32, BFLOAT16))
    assert 0 < tf32 < bfloat16 / 4


def test_tensors_alive_do_not_grow_with_masks():
    masks = np.random.default_rng(2).choice([0.0, 1.0], (MANY, 3, 3)).astype(np.float32)
    peaks = []
    for count in (FEW, MANY):
        fresh = engine(batch_tokens=2000)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        fresh.evaluate(PAIRS, masks[:count])
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 1.2 * peaks[0]


def test_the_stage_writes_the_table_of_a_cpu(tmp_path, monkeypatch):
    tables = []
    for device in ("cpu", "cuda"):
        (tmp_path / device).mkdir()
        monkeypatch.chdir(tmp_path / device)
        for seed, path in enumerate((paths.TEST, paths.DEV)):
            SPLIT_TABLES[path].write(colour_pairs(40, seed=seed))
        UNLABELLED.write(colour_pairs(0).drop(columns="grade"))
        save_tuned(random_classifier("bert"), tiny_tokenizer(), paths.MODEL)
        params = params_with(
            run__bootstrap_resamples=100,
            run__device=device,
            data__source="data/raw/pairs.csv",
            model__max_length=32,
            head_ablation={"max_pairs": 40, "mean_resample_pairs": 10},
        )
        run_stage(head_ablation, params)
        tables.append(pd.read_csv(paths.HEADS))
    pd.testing.assert_frame_equal(*tables, rtol=1e-4, atol=1e-5)
