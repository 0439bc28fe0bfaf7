import pytest

from pipeline.core.counts import counted


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, "head"), "0 heads"),
        ((1, "head"), "1 head"),
        ((2, "head"), "2 heads"),
        ((1, "query", "queries"), "1 query"),
        ((3, "query", "queries"), "3 queries"),
    ],
)
def test_a_thing_is_singular_where_there_is_one(arguments, text):
    assert counted(*arguments) == text
