"""What MLflow holds of a project, for tests that write runs and read them back."""

from pathlib import Path

import mlflow
from mlflow.entities import Run

EXPERIMENT = "test"


def runs(folder: Path, experiment: str = EXPERIMENT) -> list[Run]:
    """All runs of the experiment, oldest first."""
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id], order_by=["start_time", "run_id"]) if found else []


def run_of_record(client: mlflow.MlflowClient, record_id: str, experiment: str) -> Run:
    """The one run that a record was written to."""
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    [run] = client.search_runs([experiment_id], f"tags.`pipeline.row` = '{record_id}'")
    return run


def split(found: list[Run]) -> tuple[list[Run], dict[str, Run]]:
    """The parent runs, and the stage runs by name."""
    parents = [run for run in found if run.data.tags["pipeline.kind"] == "pipeline"]
    return parents, {run.info.run_name: run for run in found if run not in parents}


def report(path: str, text: str = "x") -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return Path(path)
