"""Servers that answer but refuse a part of what they are sent: the rest arrives at once, that part once it is taken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from mlflow.tracking._tracking_service import utils

from pipeline import tracking
from pipeline.core.config import load_params
from pipeline.tracking import outbox
from pipeline.tracking.parts import WAITING_TAG
from tests.support.builders import save_checkpoint
from tests.support.servers import mlflow_server, refusing_proxy
from tests.support.tracking import report

LOCK = {"finetune": {"cmd": "python -m pipeline finetune"}}
TRAININGS = 3
UPLOADS = "/api/2.0/mlflow-artifacts/"


def file_under(experiment: str) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("experiment: head-analysis", f"experiment: {experiment}"))


def run_pipeline(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An execution that trains a model and publishes it."""
    monkeypatch.setenv("PIPELINE_RUN_KEY", name)
    utils._artifact_repos_cache.clear()  # by run, whatever the server; another execution is another process
    params = load_params()
    save_checkpoint(Path("data/model"))
    with tracking.stage("finetune", params) as record:
        record.metrics["test_accuracy"] = 0.9
        record.artifacts = [report("reports/finetune/metrics.json", name)]
        record.model = Path("data/model")
    with tracking.stage("publish", params) as record:
        record.tags = {"finding.F3": "agrees"}
        record.artifacts = [report("reports/report.html", name)]
        lock = {"finetune": LOCK["finetune"] | {"params": {"name": name}}}
        tracking.publish(params, record, lock)
    shutil.rmtree("reports")  # as DVC does before a stage's next run
    shutil.rmtree("data/model")


def parents_and_trainings(uri: str) -> tuple[list[Run], list[Run]]:
    client = mlflow.MlflowClient(uri)
    found = client.search_runs(
        [client.get_experiment_by_name(load_params().run.experiment).experiment_id], order_by=["start_time ASC"]
    )
    parents = [run for run in found if run.data.tags["pipeline.kind"] == "pipeline"]
    return parents, [run for run in found if run not in parents]


def assert_values(uri: str) -> None:
    """A finished parent run an execution, with its verdict, over one finished training, with its number."""
    parents, trainings = parents_and_trainings(uri)
    assert [run.info.status for run in parents] == ["FINISHED"] * TRAININGS
    assert [run.data.tags["finding.F3"] for run in parents] == ["agrees"] * TRAININGS
    assert [run.data.tags["pipeline.published"] for run in parents] == ["true"] * TRAININGS
    assert {run.data.params["model.name"] for run in parents} == {"embedded"}
    assert [(run.info.status, run.data.metrics) for run in trainings] == [
        ("FINISHED", {"grading/test_accuracy": 0.9})
    ] * TRAININGS
    assert [run.data.tags["mlflow.parentRunId"] for run in trainings] == [run.info.run_id for run in parents]


def assert_files(uri: str) -> None:
    client = mlflow.MlflowClient(uri)
    parents, trainings = parents_and_trainings(uri)
    for number in range(TRAININGS):
        for run, path in ((trainings[number], "finetune/metrics.json"), (parents[number], "report.html")):
            assert Path(client.download_artifacts(run.info.run_id, path)).read_text() == f"run {number}"


def assert_models(uri: str) -> None:
    """One model a training, whole, one version each, and the alias at the last."""
    client = mlflow.MlflowClient(uri)
    parents, trainings = parents_and_trainings(uri)
    name = load_params().run.experiment
    models = client.search_logged_models([trainings[0].info.experiment_id])
    assert sorted(model.source_run_id for model in models) == sorted(run.info.run_id for run in trainings)
    assert {model.status for model in models} == {"READY"}
    versions = {version.run_id: str(version.version) for version in client.search_model_versions(f"name = '{name}'")}
    assert [run.data.tags["model.version"] for run in parents] == [versions[run.info.run_id] for run in trainings]
    assert client.get_model_version_by_alias(name, "newest").run_id == trainings[-1].info.run_id
    assert not any(WAITING_TAG in run.data.tags for run in (*parents, *trainings))


def waiting(uri: str) -> list[str | None]:
    parents, trainings = parents_and_trainings(uri)
    return [run.data.tags.get(WAITING_TAG) for run in (trainings[-1], parents[-1])]


REFUSED = {
    "every upload": (
        lambda method, path, length: 500 if method == "PUT" and path.startswith(UPLOADS) else None,
        "refused the file reports/finetune/metrics.json of the run finetune",
        ["file, model", "file, registered model"],
    ),
    "large uploads": (
        lambda method, path, length: 504 if path.startswith(UPLOADS) and length > 30_000 else None,
        "refused the model data/model of the run finetune",
        ["model", "registered model"],
    ),
    "models, as a server of MLflow 2": (
        lambda method, path, length: 404 if "/logged-models" in path else None,
        "refused the model data/model of the run finetune",
        ["model", "registered model"],
    ),
    "the alias": (
        lambda method, path, length: 403 if path.endswith("/registered-models/alias") else None,
        "refused the alias newest",
        [None, "alias"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("refuse", "said", "lacking"), REFUSED.values(), ids=REFUSED)
def test_a_refused_part_holds_up_no_other_and_arrives_once_it_is_taken(
    project: Path,
    real_server: int,
    refuse: Callable[[str, str, int], int | None],
    said: str,
    lacking: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
):
    file_under(f"without {request.node.callspec.id}")
    is_mended = False
    direct = f"http://127.0.0.1:{real_server}"
    with refusing_proxy(real_server, lambda *asked: None if is_mended else refuse(*asked)) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        for number in range(TRAININGS):
            run_pipeline(monkeypatch, f"run {number}")
            told = capsys.readouterr().err
            assert "does not answer" not in told
            assert told.count("tracking: ") == 1
            assert said in told
        assert_values(direct)
        assert waiting(direct) == lacking
        assert len(list(outbox.pending())) <= 2 * TRAININGS
        is_mended = True
        monkeypatch.setenv("PIPELINE_RUN_KEY", "later")
        with tracking.stage("publish", load_params()):
            pass
    assert "tracking: " not in capsys.readouterr().err
    assert list(outbox.pending()) == []
    assert_values(direct)
    assert_files(direct)
    assert_models(direct)


@pytest.mark.slow
def test_a_server_that_hands_out_a_folder_of_its_own_gets_the_values(
    project: Path,
    written_at_once: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """The folder is not made on this machine, nothing is kept for it, and it is said once an execution."""
    server = tmp_path / "server"
    server.mkdir()
    shutil.copy(written_at_once / "mlflow.db", server)
    file_under("elsewhere")
    place = tmp_path / "srv/x"
    with mlflow_server(server, "--no-serve-artifacts", "--default-artifact-root", str(place)) as port:
        uri = f"http://127.0.0.1:{port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        for number in range(TRAININGS):
            run_pipeline(monkeypatch, f"run {number}")
            told = capsys.readouterr().err
            assert told.count("tracking: ") == 1
            assert f"the server keeps files in a folder of its own disk, {place}/" in told
        assert_values(uri)
    assert not place.exists()
    assert list(outbox.pending()) == []
