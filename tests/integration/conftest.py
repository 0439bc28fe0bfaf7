"""A client of the project's own database."""

from pathlib import Path

import mlflow
import pytest


@pytest.fixture
def client(project: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    uri = f"sqlite:///{project}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)  # registering changes MLflow's own
    return mlflow.MlflowClient(uri)
