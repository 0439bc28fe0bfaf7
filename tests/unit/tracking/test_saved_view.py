"""The saved view: its names against those in the UI's own code, and that it is written once."""

import json
from pathlib import Path

import mlflow
import pytest

from pipeline.compare.run_results import STAGE_METRICS
from pipeline.core.config import flatten_params, load_params
from pipeline.core.run_names import QUALITY, run_metrics
from pipeline.findings.article import CLAIMS
from pipeline.tracking import mlflow_client
from pipeline.tracking.execution import project_root
from tests.support.shell import REPOSITORY

CREATED = 1_700_000_000_000


@pytest.fixture(scope="module")
def ui() -> str:
    """The UI's JavaScript."""
    folder = Path(mlflow.__file__).parent / "server/js/build/static/js"
    return "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.js")) if path.stem[0] in "m3")


def state() -> dict:
    return json.loads(json.loads(mlflow_client.saved_view(CREATED))["state"])


def list_in(code: str, first: str) -> list[str]:
    """The list of texts in the code that begins with `first`."""
    start = code.index(f'["{first}"')
    return json.loads(code[start : code.index("]", start) + 1])


def test_the_ui_knows_the_tag_and_every_field(ui):
    assert '"mlflow.sharedViewState."' in ui
    assert '"viewStateShareKey"' in ui
    envelope = json.loads(mlflow_client.saved_view(CREATED))
    assert "JSON.stringify({name:e,createdAt:i,updatedAt:a,state:t})" in ui
    assert list(envelope) == ["name", "createdAt", "updatedAt", "state"]
    known = [*list_in(ui, "searchFilter"), *list_in(ui, "selectedColumns")]
    assert set(state()) <= set(known)
    assert set(list_in(ui, "searchFilter")) <= set(state())


def test_the_ui_knows_every_value(ui):
    attributes = [name.split("`")[1] for name in state()["columnOrder"] if name.startswith("attributes.")]
    assert attributes == ["Run Name", "Version", "Models"]
    for title in (*attributes, "All Runs", "Active"):
        assert f'"{title}"' in ui
    assert 'DATE:"attributes.start_time"' in ui
    assert 'g="ALL"' in ui


def test_every_column_is_something_that_a_parent_run_holds():
    read = {stage: json.loads((REPOSITORY / path).read_text()) for stage, path in STAGE_METRICS.items()}
    held = {
        "metrics": {**run_metrics(read), **dict.fromkeys(QUALITY["ranker"])},
        "params": flatten_params(load_params(REPOSITORY / "params.yaml")),
        "tags": {"stages.ran", *(f"finding.{name}" for name in CLAIMS)},
    }
    columns = [name for name in state()["selectedColumns"] if not name.startswith("attributes.")]
    for kind, name in (column.rstrip("`").split(".`") for column in columns):
        assert name in held[kind], name
    assert [name for name in columns if "finding" in name] == [f"tags.`finding.{name}`" for name in CLAIMS]


def test_it_is_written_once_and_again_where_it_differs(project, monkeypatch):
    client, experiment = mlflow_client.connect(mlflow_client.tracking_uri(), "viewed", project_root())
    written = []
    keep = mlflow.MlflowClient.set_experiment_tag
    monkeypatch.setattr(
        mlflow.MlflowClient, "set_experiment_tag", lambda *asked: (written.append(asked[2]), keep(*asked))
    )
    mlflow_client.keep_view(client, client.get_experiment(experiment))
    assert written == []
    client.set_experiment_tag(experiment, mlflow_client.VIEW_TAG, "another")
    mlflow_client.keep_view(client, client.get_experiment(experiment))
    mlflow_client.keep_view(client, client.get_experiment(experiment))
    assert written == [mlflow_client.VIEW_TAG, mlflow_client.VIEW_TAG]
    stored = json.loads(client.get_experiment(experiment).tags["mlflow.sharedViewState.pipeline"])
    assert stored["name"] == "Pipeline"
    assert json.loads(stored["state"])["searchFilter"] == (
        "tags.`pipeline.kind` = 'pipeline' AND tags.`pipeline.published` = 'true'"
    )
