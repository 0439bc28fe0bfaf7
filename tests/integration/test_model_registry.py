"""Registered models, read back through MLflow's own client."""

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import LoggedModelOutput

from pipeline.tracking import mlflow_writer, model_registry
from pipeline.tracking.api import roll_back_model
from pipeline.tracking.run_record import PUBLISHED_TAG, RunRecord
from tests.support.tracking import run_of_record

EXPERIMENT = "registered"


def fine_tuning(client: mlflow.MlflowClient, name: str, start: int, stage: str = "finetune") -> str:
    """The id of a stage's run, below a parent run started at `start`, that logged a model without files."""
    mlflow_writer.write_run(
        RunRecord(f"{name}-{stage}", stage, EXPERIMENT, start, parent=name, status="FINISHED"), Path.cwd()
    )
    run = found(client, f"{name}-{stage}")
    model = client.create_logged_model(run.info.experiment_id, "model", run.info.run_id)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
    return run.info.run_id


def parent_run(name: str, start: int, tuned: str | None = None, status: str = "FINISHED") -> RunRecord:
    """A published parent run; `tuned` names the one whose fine-tuning it shares, its own by default."""
    ran = {"finetune": f"{name}-finetune"} if tuned is None else {}
    whole = RunRecord(name, name, EXPERIMENT, start, status=status, tags={PUBLISHED_TAG: "true"})
    return replace(whole, stages={"finetune": f"of {tuned or name}"}, ran=ran)


def found(client: mlflow.MlflowClient, record_id: str) -> mlflow.entities.Run:
    return run_of_record(client, record_id, EXPERIMENT)


def newest(client: mlflow.MlflowClient) -> str:
    """The run behind the alias."""
    return client.get_model_version_by_alias(EXPERIMENT, "newest").run_id


def test_each_model_is_registered_once_and_the_alias_follows_the_newest_pipeline(client, project):
    first, second = fine_tuning(client, "first", 1000), fine_tuning(client, "second", 2000)
    mlflow_writer.write_run(parent_run("first", 1000), project)
    mlflow_writer.write_run(parent_run("second", 2000), project)
    assert newest(client) == second
    mlflow_writer.write_run(parent_run("third", 3000, tuned="first"), project)
    assert newest(client) == first
    for again in (parent_run("first", 1000), parent_run("second", 2000), parent_run("third", 3000, tuned="first")):
        mlflow_writer.write_run(again, project)
    assert newest(client) == first
    versions = client.search_model_versions(f"name = '{EXPERIMENT}'")
    assert sorted((version.version, version.run_id) for version in versions) == [(1, first), (2, second)]
    assert [found(client, name).data.tags["model.version"] for name in ("first", "second", "third")] == ["1", "2", "1"]
    [model] = client.get_run(found(client, "third").info.run_id).inputs.model_inputs
    assert model.model_id == client.get_run(first).outputs.model_outputs[0].model_id


def test_a_version_says_what_its_heads_do(client, project):
    fine_tuning(client, "told", 1000)
    mlflow_writer.write_run(replace(parent_run("told", 1000), note="Two heads are needed."), project)
    assert client.get_model_version_by_alias(EXPERIMENT, "newest").description == "Two heads are needed."
    assert "whose heads are analysed" in client.get_registered_model(EXPERIMENT).description


def test_a_late_pipeline_does_not_move_the_alias_back(client, project):
    for name, start in (("early", 1000), ("later", 3000), ("late", 2000)):
        fine_tuning(client, name, start)
    mlflow_writer.write_run(parent_run("early", 1000), project)
    mlflow_writer.write_run(parent_run("later", 3000), project)
    mlflow_writer.write_run(parent_run("late", 2000), project)
    assert newest(client) == found(client, "later-finetune").info.run_id
    assert len(client.search_model_versions(f"name = '{EXPERIMENT}'")) == 3


def test_a_withdrawn_model_gives_the_alias_back_to_the_last_good_one(client, project):
    for start, name in enumerate(("good", "bad", "worse"), 1):
        fine_tuning(client, name, 1000 * start)
        mlflow_writer.write_run(parent_run(name, 1000 * start), project)
        if name != "good":
            assert roll_back_model(EXPERIMENT, "finetune", since=1000 * start + 1) is None  # another pipeline's model
            assert roll_back_model(EXPERIMENT, "finetune", since=1000 * start) == "1"
            assert newest(client) == found(client, "good-finetune").info.run_id
    mlflow_writer.write_run(parent_run("same model", 3500, tuned="worse"), project)
    assert newest(client) == found(client, "good-finetune").info.run_id
    fine_tuning(client, "better", 4000)
    mlflow_writer.write_run(parent_run("better", 4000), project)
    assert newest(client) == found(client, "better-finetune").info.run_id


def test_a_model_whose_files_never_came_is_not_registered(client, project):
    run_id = fine_tuning(client, "whole", 1000)
    cut = client.create_logged_model(client.get_run(run_id).info.experiment_id, "model", run_id)  # never finalised
    client.log_outputs(run_id, [LoggedModelOutput(cut.model_id, 0)])
    assert mlflow_writer.logged_models(client, client.get_run(run_id)) != []
    assert cut.model_id not in mlflow_writer.logged_models(client, client.get_run(run_id))
    mlflow_writer.write_run(parent_run("whole", 1000), project)
    assert len(client.search_model_versions(f"name = '{EXPERIMENT}'")) == 1


def test_with_nothing_to_go_back_to_the_alias_stays(client, project, monkeypatch):
    assert roll_back_model("never published", "finetune", since=0) is None
    assert client.search_registered_models("name = 'never published'") == []
    fine_tuning(client, "only", 1000)
    mlflow_writer.write_run(parent_run("only", 1000), project)
    assert roll_back_model(EXPERIMENT, "finetune", since=0) is None
    assert newest(client) == found(client, "only-finetune").info.run_id


def test_what_did_not_finish_registers_nothing(client, project):
    fine_tuning(client, "failed", 1000)
    mlflow_writer.write_run(parent_run("failed", 1000, status="FAILED"), project)
    mlflow_writer.write_run(replace(parent_run("failed", 1000), tags={}), project)
    assert client.search_registered_models() == []


def test_the_alias_can_be_put_back(client, project):
    for name, start in (("good", 1000), ("bad", 2000), ("next", 3000)):
        fine_tuning(client, name, start)
    mlflow_writer.write_run(parent_run("good", 1000), project)
    mlflow_writer.write_run(parent_run("bad", 2000), project)
    model_registry.point_alias(
        client, model_registry.FULL, EXPERIMENT, found(client, "good").data.tags["model.version"]
    )
    assert newest(client) == found(client, "good-finetune").info.run_id
    mlflow_writer.write_run(parent_run("next", 3000), project)
    assert newest(client) == found(client, "next-finetune").info.run_id


@pytest.mark.parametrize(("experiment", "name"), [("plain name", "plain name"), ("team/heads: 2", "team_heads_ 2")])
def test_a_model_is_named_after_its_experiment(experiment, name, client):
    assert model_registry.FULL.model_name(experiment) == name
    assert client.create_registered_model(name).name == name


def test_the_newest_model_loads_and_scores_a_pair_wherever_the_project_lies(client, project, monkeypatch):
    import torch
    from transformers import AutoTokenizer

    from tests.support.builders import save_checkpoint

    model = save_checkpoint(Path("data/model"))
    tuned = RunRecord(
        "whole-finetune", "finetune", EXPERIMENT, 1000, parent="whole", status="FINISHED", model="data/model"
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # so that artifacts lie relative to the project
    mlflow_writer.write_run(tuned, project)
    mlflow_writer.write_run(parent_run("whole", 1000), project)
    moved = project.rename(project.with_name("moved"))
    monkeypatch.chdir(moved)
    mlflow.set_tracking_uri(f"sqlite:///{moved}/mlflow.db")
    loaded = mlflow.transformers.load_model(f"models:/{EXPERIMENT}@newest")
    encoded = AutoTokenizer.from_pretrained("data/model")("red hat", "hat", return_tensors="pt")
    expected = torch.softmax(model.eval()(**encoded).logits[0], -1).tolist()
    scores = sorted(loaded({"text": "red hat", "text_pair": "hat"}, top_k=None), key=lambda score: score["label"])
    assert [score["score"] for score in scores] == pytest.approx(expected, abs=1e-6)


def test_a_pruned_model_is_registered_apart_with_its_evidence(client, project):
    fine_tuning(client, "whole", 1000)
    tuned = newest_after(client, project, parent_run("whole", 1000))
    pruned = fine_tuning(client, "smaller", 2000, "pruning")
    client.log_metric(pruned, "pruning/heads_remove", 9)
    whole = replace(
        parent_run("smaller", 2000, tuned="whole"), stages={"finetune": "of whole", "pruning": "of smaller"}
    )
    mlflow_writer.write_run(replace(whole, ran={"pruning": "smaller-pruning"}), project)
    assert newest(client) == tuned
    version = client.get_model_version_by_alias(f"{EXPERIMENT}-pruned", "pruned")
    assert version.run_id == pruned
    assert version.tags["metric.pruning/heads_remove"] == "9"
    tags = found(client, "smaller").data.tags
    assert (tags["model.version"], tags["pruned_model.version"]) == ("1", "1")
    assert roll_back_model(EXPERIMENT, "pruning", since=2000) is None  # nothing to go back to
    assert newest(client) == tuned


def newest_after(client: mlflow.MlflowClient, project: Path, run: RunRecord) -> str:
    """The run behind the alias once a pipeline is written."""
    mlflow_writer.write_run(run, project)
    return newest(client)


def test_a_scoring_chain_loads_and_scores_pairs(client, project):
    import pandas as pd
    from sentence_transformers import CrossEncoder

    from tests.support.cross_encoders import save_chain

    save_chain(Path("data/model"), "bert")
    tuned = RunRecord(
        "whole-finetune", "finetune", EXPERIMENT, 1000, parent="whole", status="FINISHED", model="data/model"
    )
    mlflow_writer.write_run(tuned, project)
    mlflow_writer.write_run(parent_run("whole", 1000), project)
    pairs = pd.DataFrame({"text": ["red hat", "blue shoe"], "text_pair": ["hat", "red"]})
    scores = mlflow.pyfunc.load_model(f"models:/{EXPERIMENT}@newest").predict(pairs)
    expected = CrossEncoder("data/model").predict(pairs.to_numpy().tolist())
    assert scores == pytest.approx(expected, abs=1e-6)
