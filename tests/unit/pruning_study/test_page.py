"""The page of the study says what its results say."""

from pipeline.pruning_study.page import page
from tests.support import frames


def test_the_page_tells_sizes_controls_frequencies_and_latencies():
    said = page(frames.pruning_study())
    assert "{{" not in said
    assert "\nMade in two parts.\n\nA size passes" in said
    assert "| 1 | a GPU | 0.9100 | 0.9120 | 36 of 72 | 0 | 17% | -0.0010 | -0.0060 | passes |" in said
    assert "| 36 heads, 0 blocks | 17% | -0.0010 | -0.0060 | fails: all pairs |" in said
    assert "| 2 | drawn at random, trained again | 36 | the same steps | -0.0500, -0.0400 | 0.020, 0.020 |" in said
    both = ", ".join(f"2.{head}" for head in range(12))
    assert f"| 2 of 2 | 12 | {both} |" in said
    assert "| 1 | 32 | 8.0 (9.0) | 4.0 (9.0) | 2.00 |" in said
    assert "full 90.0 MB, small 80.0 MB" in said
