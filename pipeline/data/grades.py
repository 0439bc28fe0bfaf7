"""Grades as written and as numbers: positions among the names of `data.grades`, or the numbers themselves."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.errors import InputError, quote_value
from pipeline.core.formats import NUMBER
from pipeline.data.records import text_of

HIGHEST = 10  # gains are 2^grade - 1: above it a single title would outweigh a thousand of grade 1
STRATA = 5


def grade_kind(names: list[str]) -> str:
    """Kind of the grades' column: int64 where they have names, float64 where they are numbers."""
    return "int64" if names else "float64"


def grade_parser(names: list[str]) -> Callable[[Any], int | float]:
    """What turns a grade as written into its position in `names`; into the number itself where there are no names.

    It raises InputError with value and fix: a missing or unknown grade; no number, or one out of 0 to HIGHEST.
    """
    if not names:
        return _number
    positions = {name: position for position, name in enumerate(names)}
    return partial(_position, positions=positions, numbers=_numbers(names))


def _numbers(names: list[str]) -> dict[float, int]:
    """Number -> position of the names that are one, each but once."""
    numbers = [float(name) if NUMBER.fullmatch(name.strip()) else math.nan for name in names]
    return {number: position for position, number in enumerate(numbers) if numbers.count(number) == 1}


def _position(value: Any, positions: dict[str, int], numbers: dict[float, int]) -> int:
    name = text_of(value).strip()
    if not name:
        raise InputError(f"the grade is missing; give one of data.grades {list(positions)} or remove the record")
    position = positions.get(name, positions.get(str(value)))
    if position is None and NUMBER.fullmatch(name):
        position = numbers.get(float(name))  # 3.0 is grade 3: a column with gaps is written so
    if position is None:
        raise InputError(
            f"grade {quote_value(name)} is none of data.grades {list(positions)}; fix the record or data.grades"
        )
    return position


def _number(value: Any) -> float:
    written = text_of(value).strip()
    if not written:
        raise InputError(f"the grade is missing; give a number from 0 to {HIGHEST} or remove the record")
    if not NUMBER.fullmatch(written) or not math.isfinite(float(written)):
        raise InputError(
            f"grade {quote_value(written)} is no finite number (data.grades is numbers); write it with a decimal "
            "point, as 2.33, or list the grades' names as data.grades"
        )
    number = float(written)
    if number < 0:
        raise InputError(f"grade {quote_value(written)} is negative; shift the grades so that the worst is 0")
    if number > HIGHEST:
        raise InputError(
            f"grade {quote_value(written)} is above {HIGHEST}, and a title's gain is 2^grade - 1; divide the grades "
            f"so that the best is at most {HIGHEST}"
        )
    return abs(number)  # -0 is 0


def grade_label(grade: float, names: list[str]) -> str:
    """The grade's name, or the number in its shortest form."""
    return names[int(grade)] if names else text_of(float(grade))


def grade_strata(grades: pd.Series) -> np.ndarray:
    """Strata to split by, int [pair]: the positions of named grades, of numbers bins of like many ranks.

    Equal numbers share the mean of their ranks, hence a bin: clicks fall into two, the most frequent in the larger.
    """
    if grades.dtype.kind == "i":
        return grades.to_numpy()
    return np.ceil(STRATA * grades.rank(pct=True).to_numpy()).astype(np.int64) - 1
