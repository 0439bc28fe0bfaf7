import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from pipeline.ablation.sweep import Decisions, audit_bfloat16, sweep_in_bfloat16
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
    return [ablation_engine(model, 500, dtype) for dtype in (torch.float32, torch.bfloat16)]


def test_close_calls_are_float32s_and_the_rest_is_near(engines, pairs):
    exact = engines[0].evaluate(pairs, MASKS)
    result = sweep_in_bfloat16(*engines, pairs, MASKS, DECISIONS)
    error, evaluated_again = result.precision_report.values()
    assert 0 < error < 1
    assert 0 < evaluated_again < 1
    rounded = engines[1].evaluate(pairs, MASKS).logits
    close = top_two_margins(rounded) <= 2 * error
    assert close.mean() == evaluated_again
    np.testing.assert_allclose(result.logits[close], exact.logits[close], atol=1e-6)
    np.testing.assert_array_equal(result.logits[~close], rounded[~close])
    # A call that stayed rounded was not close, so a prediction changes only where rounding moved it further than
    # it ever did on the unmasked model.
    assert (result.logits.argmax(-1) == exact.logits.argmax(-1)).mean() > 0.95
    # Of the unmasked model, whose error bounds what is close, no prediction changes at all.
    assert (result.unmasked_logits.argmax(-1) == exact.unmasked_logits.argmax(-1)).all()


def test_the_audit_counts_predictions_that_are_not_float32s(engines, pairs):
    exact = engines[0].evaluate(pairs, MASKS).logits
    result = sweep_in_bfloat16(*engines, pairs, MASKS, DECISIONS)
    report = audit_bfloat16(engines[0], pairs, result, DECISIONS, seed=0).precision_report
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
