"""The rules that choose pairs, case by case."""

import numpy as np
import pandas as pd
import pytest

from pipeline.attention.example_pairs import (
    candidate_pairs,
    choose_example_pairs,
    shared_terms,
    spread_pairs,
    strata_of_pairs,
)
from pipeline.attention.head_functions import Tokens


def chosen(rows: list[tuple[int, int, int, int]], count: int) -> list[int]:
    query_ids, grades, lengths, shared = np.array(rows).T
    return choose_example_pairs(query_ids, grades, lengths, shared, count)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([(1, 0, 15, 3), (1, 1, 15, 3), (2, 2, 15, 3)], [0, 2], id="one pair of a query"),
        pytest.param([(1, 0, 15, 4), (2, 0, 15, 3), (3, 1, 15, 2)], [0, 2], id="another grade before more terms"),
        pytest.param([(1, 0, 15, 4), (2, 0, 15, 3), (3, 1, 15, 1)], [0, 1], id="two shared terms before another grade"),
        pytest.param([(1, 0, 31, 9), (2, 0, 15, 0), (3, 0, 30, 2)], [2, 1], id="readable length first"),
        pytest.param([(1, 0, 15, 2), (2, 0, 15, 5), (3, 0, 15, 5)], [1, 2], id="most shared terms, then the first"),
        pytest.param([(1, 0, 9, 0)], [0], id="fewer queries than asked for"),
    ],
)
def test_rule(rows, expected):
    assert chosen(rows, count=2) == expected


def test_none_wanted():
    assert chosen([(1, 0, 15, 2)], count=0) == []


def test_shared_terms_counts_terms_not_tokens():
    tokens = Tokens(
        word=np.array([-1, 0, 0, 1, 2, -1, 3, 3, 4, 5, -1]),
        key=np.array([-1, 7, 7, 8, 7, -1, 7, 7, 9, 8, -1]),
        segment=np.array([-1, 0, 0, 0, 0, -1, 1, 1, 1, 1, -1]),
        cls=np.arange(11) == 0,
        sep=np.isin(np.arange(11), [5, 10]),
    )
    assert shared_terms(tokens) == 2


def test_pairs_are_spread_over_strata_the_cheapest_first():
    strata, cost = np.array([0, 0, 0, 1, 1, 2]), np.array([3, 1, 2, 0, 0, 9])
    assert spread_pairs(strata, cost, 4) == [3, 1, 5, 4]
    assert spread_pairs(strata, cost, 9) == [3, 1, 5, 4, 2, 0]
    assert spread_pairs(strata[:0], cost[:0], 3) == []


def test_strata_are_the_first_slicing_and_the_grade():
    pairs = pd.DataFrame({"query_id": 1, "query": "q", "title": "t", "grade": [0.0, 0.9, 1.0, 0.0]})
    assert strata_of_pairs(pairs).tolist() == [0, 0, 1, 0]
    assert strata_of_pairs(pairs.assign(kind=["b", "b", "a", None])).tolist() == [1, 1, 0, 2]


def test_twice_as_many_pairs_as_shown_are_kept_those_that_can_be_read_first():
    pairs = pd.DataFrame({"query_id": range(6), "query": "q", "title": "t", "grade": 0})
    assert candidate_pairs(pairs, np.array([200, 12, 5, 30, 31, 11]), 2) == [1, 3, 5, 0]
