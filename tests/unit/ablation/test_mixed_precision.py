import numpy as np
import pytest
from scipy.stats import rankdata

from pipeline.ablation.encoder import from_pretrained_model
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.mixed_precision import audit_bfloat16, sweep_in_bfloat16, top_two_margins
from tests.support.builders import random_classifier, random_pairs

MASKS = np.random.default_rng(1).choice([0.0, 1.0], (12, 3, 3))


@pytest.fixture(scope="module")
def subject():
    return random_classifier("bert", layers=3), random_pairs([6, 9, 9, 14, 7, 6, 11, 9] * 4)


def test_close_calls_are_float32s_and_the_rest_is_near(subject):
    model, pairs = subject
    exact = AblationEngine(from_pretrained_model(model), 500).evaluate(pairs, MASKS)["logits"]
    found = sweep_in_bfloat16(model, pairs, MASKS, 500)
    assert 0 < found.error < 1
    assert 0 < found.evaluated_again < 1
    again = np.abs(found.logits - exact).max(axis=-1) < 1e-5
    assert again.mean() >= found.evaluated_again
    # A call that stayed rounded was not close, so a prediction changes only where rounding moved it further than
    # it ever did on the unmasked model.
    assert (found.logits.argmax(-1) == exact.argmax(-1)).mean() > 0.95


def test_the_audit_counts_predictions_that_are_not_float32s(subject):
    model, pairs = subject
    exact = AblationEngine(from_pretrained_model(model), 500).evaluate(pairs, MASKS)["logits"]
    found = sweep_in_bfloat16(model, pairs, MASKS, 500)
    counted = audit_bfloat16(model, pairs, MASKS, 500, found, seed=0)
    assert counted.sampled == 12 * 32  # all pairs: there are no more than the sample takes
    assert counted.differing == (found.logits.argmax(-1) != exact.argmax(-1)).sum()
    assert counted.report()["bfloat16_differing"] == counted.differing


def test_margins_are_the_lead_of_the_best_over_the_second():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5))
    ranks = rankdata(logits, axis=-1)
    expected = logits[ranks == 5] - logits[ranks == 4]
    np.testing.assert_allclose(top_two_margins(logits).ravel(), expected)
