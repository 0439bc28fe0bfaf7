"""MLflow's own server, started once for all tests that need one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import mlflow_server


@pytest.fixture(scope="session")
def real_server(written_at_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of MLflow's own server."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(written_at_once / "mlflow.db", folder)
    with mlflow_server(folder, "--artifacts-destination", str(folder / "files")) as port:
        yield port
