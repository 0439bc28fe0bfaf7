import pandas as pd
import pytest

from tests.support.calibration import MEASURED, calibrate

HEADS = 24


@pytest.mark.slow
def test_without_an_effect_few_are_found_and_intervals_hold_the_truth():
    """Bounds leave three standard errors for the 300 repetitions."""
    table = pd.DataFrame([calibrate(queries, HEADS, 300) for queries in (40, 80, 200)])
    print(f"\n{table.to_string(index=False)}")
    assert (table["declared"] <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5).all()
    assert table[list(MEASURED)].min(axis=None) >= 0.93
    assert table[list(MEASURED)].max(axis=None) <= 0.97


def test_the_calibration_has_no_effect_to_find_and_noise_to_be_fooled_by():
    found = calibrate(40, 4, 3)
    assert 0 <= found["declared"] <= 1
    assert all(0.5 <= found[name] <= 1 for name in MEASURED)
