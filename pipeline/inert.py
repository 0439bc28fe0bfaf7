"""Texts of a .csv file that a spreadsheet would take for formulas, made texts by an apostrophe in front.

Spreadsheets execute cells that begin with = + - or @, some of them behind white space or quotation marks, and the wide
forms of these characters too. A plain number is none. `restored` takes the apostrophes off again, so that a value that
is read back is the one that was written.
"""

import re
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

FORMULA = re.compile(r"""['"\s]*[=+\-@＝＋－＠]|'*[\t\r\n]""")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may execute a cell that holds the text."""
    return FORMULA.match(text) is not None and NUMBER.fullmatch(text) is None


def inert(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before every cell and column name that is a formula's text."""
    return _mapped(frame, lambda text: f"'{text}" if is_formula(text) else text)


def restored(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame that `inert` was given."""
    return _mapped(frame, lambda text: text[1:] if text.startswith("'") and is_formula(text[1:]) else text)


def _mapped(frame: pd.DataFrame, change: Any) -> pd.DataFrame:
    columns = {place: _changed(frame.iloc[:, place], change) for place in range(frame.shape[1])}
    mapped = pd.DataFrame(columns, index=frame.index)
    mapped.columns = pd.Index([change(name) if isinstance(name, str) else name for name in frame.columns])
    return mapped


def _changed(column: pd.Series, change: Any) -> pd.Series:
    if is_numeric_dtype(column):
        return column
    new = {text: change(text) for text in column.unique() if isinstance(text, str) and change(text) != text}
    return column.map(lambda value: new.get(value, value)) if new else column
