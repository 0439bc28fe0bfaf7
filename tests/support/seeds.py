"""Seeds of planted models."""

import pytest

COUNT = 10


def ten_seeds(usual: int) -> list:
    """Ten seeds as parameters of a test, the first `usual` of them in the suite, the others in `make test-slow`."""
    return [*range(usual), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(usual, COUNT))]
