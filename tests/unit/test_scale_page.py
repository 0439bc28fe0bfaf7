"""The costs in docs/scale.md: as the code computes them, and as worked by hand."""

import pytest

from tests.benchmark.scale import PAGE, SIZES, page


def test_the_page_holds_the_tables():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run `python -m tests.benchmark.scale`"


def test_sizes_worked_by_hand():
    base = SIZES["bert-base"]
    assert base.logit_bytes == 145 * 5 * 4
    assert base.attention_bytes == 145 * 11 * 12 * 7 * 4
    layer = 4 * 768**2 + 2 * 768 * 3072  # of BERT-base: 85 million in twelve, biases left out
    assert 12 * layer == pytest.approx(85e6, rel=0.01)
    assert base.worker_bytes == 4 * (12 * (2 * layer + 3 * 768**2 + 2 * 768 * 3072) + 30_522 * 768)
