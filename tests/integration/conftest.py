"""A client of the project's own database; a browser."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from playwright.sync_api import Browser

from tests.support.browser import chromium, started_browser


@pytest.fixture
def client(project: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    uri = f"sqlite:///{project}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)  # registering changes MLflow's own
    return mlflow.MlflowClient(uri)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser(chromium()) as browser:
        yield browser
