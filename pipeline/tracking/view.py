"""A view of the experiment for `mlflow ui`: the pipelines' rows alone, with the columns that compare them.

The UI fixes its own default columns, but opens what it finds in a tag of the experiment at
``#/experiments/<id>/runs?viewStateShareKey=pipeline``. The tag has the form of the UI's own saved views
(MLflow 3.17), so that it is also listed among them.
"""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

KEY = "pipeline"
TAG = f"mlflow.sharedViewState.{KEY}"
FINDINGS = ("R0", "R1", "R2", "F1", "F2", "F3", "T1", "S1", "S2", "D1", "D1-direction")
METRICS = ("test_accuracy", "test_qwk", "baseline_test_accuracy", "heads_needed")
# Column -> its width in pixels, from left to right.
COLUMNS = {
    "params.`model.name`": 90,
    "params.`data.source`": 90,
    "attributes.`Version`": 75,  # the git commit
    **{f"metrics.`{name}`": 100 for name in METRICS},
    **{f"tags.`finding.{name}`": 80 for name in FINDINGS},
    "tags.`stages.ran`": 150,
    "attributes.`Models`": 160,
}
PINNED = {"attributes.`Run Name`": 190}


def keep_view(client: "MlflowClient", experiment: "Experiment") -> None:
    """Write the view where the experiment has none or another one; its tags, as read, save the request."""
    view = saved_view(experiment.creation_time or 0)
    if experiment.tags.get(TAG) != view:
        client.set_experiment_tag(experiment.experiment_id, TAG, view)


def saved_view(created: int) -> str:
    """The tag's value; `created` in milliseconds since 1970 is what the UI shows as the view's age."""
    return json.dumps({"name": "Pipeline", "createdAt": created, "updatedAt": created, "state": json.dumps(_state())})


def _state() -> dict[str, Any]:
    return {
        "searchFilter": "tags.`pipeline.kind` = 'pipeline'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(COLUMNS),
        "columnOrder": list(PINNED | COLUMNS),
        "columnWidths": PINNED | COLUMNS,
    }
