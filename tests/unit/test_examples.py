"""The example notebook against the committed reports: every code cell runs, none was committed with outputs."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

from tests.support.shell import REPOSITORY

CELLS = json.loads((REPOSITORY / "examples" / "explore.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What the notebook's cells define, run as Jupyter does: in the notebook's folder."""
    monkeypatch.chdir(REPOSITORY / "examples")
    matplotlib.use("Agg")
    namespace: dict = {}
    for number, source in enumerate(CODE):
        exec(compile(source, f"explore.ipynb, code cell {number}", "exec"), namespace)
    plt.close("all")
    return namespace


def test_the_notebook_runs_on_the_reports_and_finds_what_they_hold(results: dict):
    assert results["ROOT"] == Path(REPOSITORY)
    assert set(results["needed"].index) <= set(results["effects"].index)
    assert results["change"].size == len(results["effects"])
    assert len(results["matching"]) == len(results["effects"])
    assert results["strongest"]["js"].is_monotonic_decreasing
    assert (results["strongest"]["source_layer"] < results["strongest"]["target_layer"]).all()


def test_the_notebook_is_committed_without_outputs():
    assert not [cell for cell in CELLS if cell.get("outputs") or cell.get("execution_count")]
