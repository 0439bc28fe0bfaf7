"""Outputs of two runs compared: byte for byte, and cell by cell where bytes may differ."""

from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pipeline.core.formats import read_json, read_safetensors

NUMERIC = (".csv", ".json", ".parquet", ".safetensors")


def output_files(folder: Path) -> list[str]:
    """Every file below the outs that dvc.lock names, relative to the project in `folder`, sorted."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    places = [folder / out["path"] for stage in stages.values() for out in stage.get("outs", [])]
    found = [file for place in places for file in ([place] if place.is_file() else place.rglob("*"))]
    return sorted(file.relative_to(folder).as_posix() for file in found if file.is_file())


def digests(folder: Path) -> dict[str, str]:
    """Output file -> sha256."""
    found = {}
    for name in output_files(folder):
        with (folder / name).open("rb") as stream:
            found[name] = file_digest(stream, "sha256").hexdigest()
    return found


def differing(first: dict[str, str], second: dict[str, str]) -> pd.DataFrame:
    """file, first, second (beginnings of the digests, "absent") of the files that differ."""
    names = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    rows = [(name, first.get(name, "absent")[:12], second.get(name, "absent")[:12]) for name in names]
    return pd.DataFrame(rows, columns=["file", "first", "second"])


@dataclass(frozen=True)
class Difference:
    """largest: greatest absolute difference of two numbers, `where`: the column or key that holds it.

    other: cells that are no numbers and differ; -1 where the files have other columns, keys or shapes.
    """

    largest: float
    where: str
    other: int


def difference(first: Path, second: Path) -> Difference:
    """How far two files of one of the NUMERIC endings are apart; undefined equals undefined."""
    one, two = cells(first), cells(second)
    if {name: values.shape for name, values in one.items()} != {name: values.shape for name, values in two.items()}:
        return Difference(float("nan"), "", -1)
    gaps = {name: _largest_gap(one[name], two[name]) for name in one if _is_number(one[name], two[name])}
    where = max(gaps, key=lambda name: gaps[name]) if any(gaps.values()) else ""
    other = sum(int((one[name] != two[name]).sum()) for name in one.keys() - gaps.keys())
    return Difference(gaps.get(where, 0.0), where, other)


def cells(path: Path) -> dict[str, np.ndarray]:
    """Column or key -> its values; a JSON list is told by its places."""
    match path.suffix:
        case ".safetensors":
            return read_safetensors(path)
        case ".json":
            return {name: np.array(value) for name, value in _leaves(read_json(path), "")}
        case ".parquet":
            frame = pd.read_parquet(path)
        case _:
            frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return {str(name): _values(frame[name]) for name in frame}


def _values(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    return column.fillna("").astype(str).to_numpy(dtype=object)


def _leaves(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{name}.{key}" if name else key)]
    if isinstance(value, list):
        return [leaf for place, item in enumerate(value) for leaf in _leaves(item, f"{name}[{place}]")]
    return [(name, "" if value is None else value)]


def _is_number(*columns: np.ndarray) -> bool:
    return all(np.issubdtype(column.dtype, np.number) for column in columns)


def _largest_gap(first: np.ndarray, second: np.ndarray) -> float:
    """Infinite where only one of two numbers is defined."""
    one, two = first.astype(float), second.astype(float)
    gap = np.abs(one - two)
    gap = np.where(np.isnan(one) & np.isnan(two) | (one == two), 0.0, np.where(np.isnan(gap), np.inf, gap))
    return float(gap.max(initial=0.0))
