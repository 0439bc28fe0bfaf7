"""Grades that are numbers: what is one, what is refused, and the strata that queries are split by."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.data.grades import grade_kind, grade_label, grade_parser, grade_strata

read_number = grade_parser([])


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0", 0.0),
        ("2.33", 2.33),
        (" 3 ", 3.0),
        ("1e-1", 0.1),
        ("+.5", 0.5),
        (7, 7.0),
        (2.5, 2.5),
        ("10", 10.0),
        (Decimal("1.20"), 1.2),
    ],
)
def test_a_number_as_files_write_it(written, number):
    assert read_number(written) == number
    assert grade_kind([]) == "float64"


def test_minus_zero_is_zero():
    assert np.signbit([read_number("-0"), read_number(-0.0)]).tolist() == [False, False]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2,33", "grade '2,33' is no finite number (data.grades is numbers); write it with a decimal point, as 2.33"),
        ("good", "or list the grades' names as data.grades"),
        ("", "the grade is missing; give a number from 0 to 10"),
        (None, "the grade is missing"),
        (float("nan"), "the grade is missing"),
        ("nan", "no finite number"),
        ("inf", "no finite number"),
        (float("inf"), "no finite number"),
        ("1e999", "no finite number"),
        (True, "grade 'True' is no finite number"),
        ("1_0", "no finite number"),
        ("\u0663", "no finite number"),
        ("0x1", "no finite number"),
        (-1, "grade '-1' is negative; shift the grades so that the worst is 0"),
        ("10.01", "above 10, and a title's gain is 2^grade - 1; divide the grades so that the best is at most 10"),
        (10**60, "above 10"),
        ([1], "is not text"),
    ],
)
def test_what_is_no_grade(written, said):
    with pytest.raises(InputError) as raised:
        read_number(written)
    assert said in str(raised.value)


def test_labels_of_rejected_pairs():
    assert [grade_label(grade, []) for grade in (2.33, 2.0, 0.0)] == ["2.33", "2", "0"]
    assert [grade_label(grade, ["bad", "2.0"]) for grade in (1, 0)] == ["2.0", "bad"]


@given(st.floats(0, 10))
def test_a_label_reads_as_the_same_number(number):
    assert read_number(grade_label(number, [])) == number


@pytest.mark.parametrize(
    ("grades", "strata"),
    [
        ([0.0] * 9 + [1.0], [2] * 9 + [4]),  # ranks 1 to 9 have the mean 5, half of ten
        ([0.1, 0.2, 0.3, 0.4, 0.5], [0, 1, 2, 3, 4]),
        ([3.0, 1.0, 1.0, 2.0], [4, 1, 1, 3]),  # ranks 4, 1.5, 1.5, 3 of four
        ([1.0] * 4, [3] * 4),
        ([], []),
    ],
)
def test_strata_of_numbers(grades, strata):
    assert grade_strata(pd.Series(grades, dtype="float64")).tolist() == strata


def test_strata_of_named_grades_are_their_positions():
    assert grade_strata(pd.Series([2, 0, 1])).tolist() == [2, 0, 1]
