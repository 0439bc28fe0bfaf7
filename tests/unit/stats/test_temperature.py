"""The temperature that a grader's confidence was multiplied by is found again."""

import numpy as np
import pytest
from scipy.special import softmax

from pipeline.stats.temperature import fit_temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_grades_drawn_from_the_model_is_found_again(temperature: float):
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 5))
    shares = softmax(honest, axis=1).cumsum(axis=1)
    grades = (rng.random((len(honest), 1)) > shares).sum(axis=1).clip(max=4)
    assert fit_temperature((honest * temperature).astype(np.float32), grades) == pytest.approx(temperature, rel=0.05)


def test_no_temperature_nearby_has_a_lower_log_loss():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (300, 3))
    grades = (logits + rng.normal(0, 2, (300, 3))).argmax(axis=1)
    found = fit_temperature(logits, grades)

    def log_loss(temperature: float) -> float:
        return -np.log(softmax(logits / temperature, axis=1)[np.arange(300), grades]).mean()

    assert log_loss(found) <= min(log_loss(found * 0.95), log_loss(found * 1.05))
