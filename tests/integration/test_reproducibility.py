"""The comparison of two runs' outputs, on folders made by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.core.formats import write_csv, write_json, write_parquet, write_safetensors
from tests.reproducibility.__main__ import between
from tests.reproducibility.comparing import Difference, difference, differing, digests, output_files

OUTS = ["data/model", "reports/heads.csv", "reports/report.html", "reports/metrics.json"]


def project(folder: Path, accuracy: float = 0.5, page: str = "page") -> Path:
    """A finished run; what dvc.lock does not name is no output."""
    stages = {"one": {"outs": [{"path": path} for path in OUTS]}, "publish": {"cmd": "publish"}}
    (folder / "data/model/deep").mkdir(parents=True)
    (folder / "data/model/deep/weights.bin").write_bytes(b"weights")
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    write_csv(folder / "reports/heads.csv", pd.DataFrame({"head": [0, 1], "accuracy": [accuracy, 0.25]}))
    write_json(folder / "reports/metrics.json", {"accuracy": accuracy})
    (folder / "reports/report.html").write_text(page)
    (folder / "reports/rerun.md").write_text(str(folder))
    return folder


def test_equal_runs_do_not_differ(tmp_path):
    first, second = project(tmp_path / "a"), project(tmp_path / "b")
    assert output_files(first) == ["data/model/deep/weights.bin", *sorted(OUTS[1:])]
    assert digests(first)["data/model/deep/weights.bin"] == (
        # printf weights | sha256sum
        "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    )
    assert differing(digests(first), digests(second)).empty


def test_a_changed_byte_and_a_file_that_only_one_run_has_are_named(tmp_path):
    first, second = project(tmp_path / "a"), project(tmp_path / "b", page="pagf")
    (first / "data/model/extra").touch()
    found = differing(digests(first), digests(second))
    assert found["file"].tolist() == ["data/model/extra", "reports/report.html"]
    assert found["second"].tolist()[0] == "absent"


def test_the_largest_difference_of_each_file_is_told(tmp_path):
    first, second = project(tmp_path / "a"), project(tmp_path / "b", accuracy=0.75, page="other")
    rows = between(first, second).set_index("file")
    assert rows.loc["reports/heads.csv"].tolist() == [0.25, "accuracy", 0]
    assert rows.loc["reports/metrics.json"].tolist() == [0.25, "accuracy", 0]
    assert pd.isna(rows.loc["reports/report.html", "largest difference"])


FRAME = {"head": [0, 1], "value": [1.0, float("nan")], "verdict": ["needed", None], "label": [True, False]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Difference(0.0, "", 0)),
        ({"value": [-1.5, float("nan")], "head": [0, 2]}, Difference(2.5, "value", 0)),
        ({"value": [1.0, 3.0]}, Difference(float("inf"), "value", 0)),
        ({"verdict": ["harmful", "needed"], "label": [True, True]}, Difference(0.0, "", 3)),
    ],
)
@pytest.mark.parametrize(("ending", "write"), [("csv", write_csv), ("parquet", write_parquet)])
def test_tables_are_compared_cell_by_cell(tmp_path, ending, write, change, expected):
    paths = [tmp_path / f"{name}.{ending}" for name in ("first", "second")]
    for path, values in zip(paths, (FRAME, FRAME | change), strict=True):
        write(path, pd.DataFrame(values))
    assert difference(*paths) == expected


def test_json_and_tensors_are_compared_by_their_names(tmp_path):
    write_json(tmp_path / "a.json", [{"id": "F1", "effect": 0.5, "verdict": "agrees", "none": None}])
    write_json(tmp_path / "b.json", [{"id": "F1", "effect": 0.25, "verdict": "differs", "none": None}])
    assert difference(tmp_path / "a.json", tmp_path / "b.json") == Difference(0.25, "[0].effect", 1)
    tensors = {"maps": np.array([[1, 2]], np.float16), "ids": np.array([7])}
    write_safetensors(tmp_path / "a.safetensors", tensors)
    write_safetensors(tmp_path / "b.safetensors", tensors | {"maps": np.array([[1, 1.5]], np.float16)})
    assert difference(tmp_path / "a.safetensors", tmp_path / "b.safetensors") == Difference(0.5, "maps", 0)


@pytest.mark.parametrize("other", [{"head": [0]}, {"layer": [0, 1]}])
def test_other_rows_or_columns_are_no_number(tmp_path, other):
    write_csv(tmp_path / "a.csv", pd.DataFrame({"head": [0, 1]}))
    write_csv(tmp_path / "b.csv", pd.DataFrame(other))
    found = difference(tmp_path / "a.csv", tmp_path / "b.csv")
    assert np.isnan(found.largest)
    assert found.other == -1
