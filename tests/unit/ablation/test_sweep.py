import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from pipeline.ablation.linear import Linear
from pipeline.ablation.precision import BFLOAT16, FLOAT32, TF32
from pipeline.ablation.sweep import Decisions, audit_rounding, rounded_sweep
from pipeline.stats.measure_sets import GRADER
from pipeline.stats.metrics import top_two_margins
from tests.support.builders import ablation_engine, random_classifier, random_pairs

DECISIONS = Decisions(GRADER, np.arange(32) // 4)
MASKS = np.random.default_rng(1).choice([0.0, 1.0], (12, 3, 3))


@pytest.fixture(scope="module")
def pairs():
    return random_pairs([6, 9, 9, 14, 7, 6, 11, 9] * 4)


@pytest.fixture(scope="module")
def engines():
    """The model in float32 and in bfloat16."""
    model = random_classifier("bert", layers=3)
    return [ablation_engine(model, 500, precision) for precision in (FLOAT32, BFLOAT16)]


class TF32Linear(Linear):
    """Linear layer as a GPU computes it in TF32: what enters the product is rounded to ten bits behind the point."""

    def __init__(self, weight, bias, hidden_act=None, activation=None):
        super().__init__(to_tf32(weight), bias, activation)

    def __call__(self, x):
        return super().__call__(to_tf32(x))


def to_tf32(x: torch.Tensor) -> torch.Tensor:
    """Round float32 to the nearest number with ten bits behind the point."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.fixture
def tf32_engine(monkeypatch):
    """The model in TF32, as far as a CPU can follow: all but attention's own products is rounded."""
    monkeypatch.setattr("pipeline.ablation.encoder.pack_linear", TF32Linear)
    return ablation_engine(random_classifier("bert", layers=3), 500, TF32)


def test_rounding_to_tf32():
    values = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-12, -(1 + 3 * 2**-12), 3e-20])
    expected = torch.tensor([1.0, 1 + 2**-10, 1.0, -(1 + 2**-10), 3e-20])
    torch.testing.assert_close(to_tf32(values), expected, rtol=0, atol=1e-23)


def test_tf32_rounds_less_than_bfloat16_and_its_close_calls_are_float32s(engines, tf32_engine, pairs):
    exact = engines[0].evaluate(pairs, MASKS).logits
    reports = [
        rounded_sweep(engines[0], engine, pairs, MASKS, DECISIONS).precision_report
        for engine in (tf32_engine, engines[1])
    ]
    (error, again), (coarse_error, coarse_again) = (report.values() for report in reports)
    assert list(reports[0]) == ["tf32_error", "tf32_evaluated_again"]
    assert 1e-5 < error < coarse_error / 4
    assert 0 < again < coarse_again / 2
    result = rounded_sweep(engines[0], tf32_engine, pairs, MASKS, DECISIONS)
    close = top_two_margins(tf32_engine.evaluate(pairs, MASKS).logits) <= 2 * error
    np.testing.assert_allclose(result.logits[close], exact[close], atol=5e-6)
    assert (result.logits.argmax(-1) == exact.argmax(-1)).all()


def test_close_calls_are_float32s_and_the_rest_is_near(engines, pairs):
    exact = engines[0].evaluate(pairs, MASKS)
    result = rounded_sweep(*engines, pairs, MASKS, DECISIONS)
    error, evaluated_again = result.precision_report.values()
    assert 0 < error < 1
    assert 0 < evaluated_again < 1
    rounded = engines[1].evaluate(pairs, MASKS).logits
    close = top_two_margins(rounded) <= 2 * error
    assert close.mean() == evaluated_again
    np.testing.assert_allclose(result.logits[close], exact.logits[close], atol=5e-6)
    np.testing.assert_array_equal(result.logits[~close], rounded[~close])
    # A call that stayed rounded was not close, so a prediction changes only where rounding moved it further than
    # it ever did on the unmasked model.
    assert (result.logits.argmax(-1) == exact.logits.argmax(-1)).mean() > 0.95
    # Of the unmasked model, whose error bounds what is close, no prediction changes at all.
    assert (result.unmasked_logits.argmax(-1) == exact.unmasked_logits.argmax(-1)).all()


def test_the_audit_counts_predictions_that_are_not_float32s(engines, pairs):
    exact = engines[0].evaluate(pairs, MASKS).logits
    result = rounded_sweep(*engines, pairs, MASKS, DECISIONS)
    report = audit_rounding(*engines, pairs, result, DECISIONS, seed=0).precision_report
    assert list(report) == [
        "bfloat16_error",
        "bfloat16_evaluated_again",
        "bfloat16_sampled",
        "bfloat16_differing",
    ]
    assert report["bfloat16_sampled"] == 13 * 32  # all pairs: there are no more than the sample takes
    assert report["bfloat16_differing"] == (result.logits.argmax(-1) != exact.argmax(-1)).sum()


def test_margins_are_the_lead_of_the_best_over_the_second():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5))
    ranks = rankdata(logits, axis=-1)
    expected = logits[ranks == 5] - logits[ranks == 4]
    np.testing.assert_allclose(top_two_margins(logits).ravel(), expected)
