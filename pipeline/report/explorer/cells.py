"""Cells of the result tables as values of the contract."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from pipeline.report.explorer.contract import Estimate, Number

UNDEFINED: Estimate = [None, None, None]


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame, by column."""
    return cast(list[dict[str, Any]], frame.to_dict("records"))


def number(value: Any) -> Number:
    """A cell, None where it is missing or infinite."""
    return float(value) if pd.notna(value) and np.isfinite(value) else None


def estimate(row: Mapping[str, Any], name: str) -> Estimate:
    """A cell and the ends of its interval."""
    return [number(row[f"{name}{end}"]) for end in ("", "_low", "_high")]
