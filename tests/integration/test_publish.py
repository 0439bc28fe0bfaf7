"""The parent run: what publish puts in it, when it makes one, and what it costs where there is nothing to do."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow.entities import Run

from pipeline import tracking
from pipeline.compare.run_results import RESULT_FILES
from pipeline.core import paths
from pipeline.core.config import load_params
from pipeline.rerun import previous
from pipeline.stages import publish
from pipeline.tracking import provenance
from pipeline.tracking.mlflow_writer import STAGE_FINGERPRINT_TAG
from tests.support.shell import HEADS_HEADER, REPOSITORY

EXPERIMENT = "head-analysis"


def published_runs(folder: Path) -> list[Run]:
    """The parent runs that publish filled, oldest first."""
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.get_experiment_by_name(EXPERIMENT)
    where = "tags.`pipeline.published` = 'true'"
    return client.search_runs([found.experiment_id], where, order_by=["start_time"])


def write(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def finding(id: str, verdict: str) -> dict[str, str]:
    return {"id": id, "statement": f"What {id} says.", "measured": f"what {id} measured", "verdict": verdict}


def lock_stages(**epochs: int) -> None:
    """A dvc.lock whose stages differ in one param each."""
    outs = {"prepare": "data/prepared", "finetune": "data/model"}
    stages = {
        stage: {
            "cmd": f"python -m pipeline {stage}",
            "params": {"params.yaml": {"x": value}},
            "outs": [{"path": outs[stage], "md5": f"{stage}{value}.dir"}],
        }
        for stage, value in epochs.items()
    }
    paths.DVC_LOCK.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def run_stage(name: str, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("PIPELINE_RUN_KEY", key)
    params = load_params()
    with tracking.stage(name, params) as record:
        if name == "publish":
            publish.main(params, record)


def write_heads() -> None:
    paths.HEADS.parent.mkdir(parents=True, exist_ok=True)
    rows = ["0,0,0,0,0,0,no effect", "3,4,-0.055,-0.07,-0.04,0.1,needed"]
    paths.HEADS.write_text("\n".join([HEADS_HEADER, *rows]))


def test_the_parent_run_holds_what_the_stages_found(project, monkeypatch):
    run_stage("prepare", monkeypatch, "first")
    write(
        paths.stage_metrics("finetune"),
        {"test_accuracy": 0.8, "test_spearman": None, "undefined": {"test_spearman": "flat"}},
    )
    write(paths.FINDINGS, [finding("F3", "agrees"), finding("S1", "cannot tell")])
    write_heads()
    write(paths.REPORT, "report")
    write(paths.EXPLORER, "explorer")
    write(paths.EXPLORER_DATA, "{}")
    write(paths.FIGURES / "heads.png", "figure")
    lock_stages(prepare=1)
    run_stage("publish", monkeypatch, "first")
    [parent] = published_runs(project)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"grading/test_accuracy": 0.8}
    assert parent.data.params["model.name"] == "embedded"
    tags = parent.data.tags
    assert (tags["finding.F3"], tags["finding.S1"]) == ("agrees", "cannot tell")
    for said in ("Grades **80.0%**", "1 of 2 heads needed: 3.4 (-5.5%)", "| what S1 measured | **cannot tell** |"):
        assert said in tags["mlflow.note.content"]
    assert re.search(r"\| prepare \| run now \| \d+\.\d \|", tags["mlflow.note.content"])
    assert tags["stages.ran"] == "all"
    assert "data.fingerprint" in tags
    assert "model.fingerprint" not in tags
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert client.get_run(tags["stage.prepare.run_id"]).info.run_name == "prepare"
    files = [file.path for file in client.list_artifacts(parent.info.run_id)]
    assert files == ["explorer.html", "explorer.json", "figures", "head_ablation", "report.html"]


def test_a_skipped_stage_is_linked_to_the_run_that_computed_it(project, monkeypatch):
    run_stage("prepare", monkeypatch, "first")
    run_stage("finetune", monkeypatch, "first")
    lock_stages(prepare=1, finetune=1)
    run_stage("publish", monkeypatch, "first")
    run_stage("finetune", monkeypatch, "second")
    lock_stages(prepare=1, finetune=2)
    run_stage("publish", monkeypatch, "second")
    run_stage("publish", monkeypatch, "third")
    first, second = (parent.data.tags for parent in published_runs(project))
    assert (first["stages.ran"], second["stages.ran"]) == ("all", "finetune")
    assert second["stage.prepare.run_id"] == first["stage.prepare.run_id"]
    assert second["stage.finetune.run_id"] != first["stage.finetune.run_id"]
    assert second["data.fingerprint"] == first["data.fingerprint"]
    assert second["model.fingerprint"] != first["model.fingerprint"]


def test_nothing_to_publish_imports_nothing_heavy(project, monkeypatch):
    lock_stages(prepare=1)
    for path in set(RESULT_FILES) - {paths.PARAMS}:
        write(path, {})
    write_heads()
    write(paths.FINDINGS, [])
    run_stage("publish", monkeypatch, "first")
    assert (previous.published_folder() / paths.FINDINGS).read_text() == "[]"
    script = (
        "import sys; sys.argv[1:] = ['publish']\n"
        "from pipeline.__main__ import main\n"
        "print(main(), sorted(sys.modules.keys() & {'mlflow', 'pandas', 'numpy', 'torch', 'transformers', 'sklearn'}))"
    )
    monkeypatch.setenv("PIPELINE_RUN_KEY", "second")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("0 []\n", "")
    assert len(published_runs(project)) == 1


def test_a_database_made_anew_gets_its_run_again(project, monkeypatch):
    lock_stages(prepare=1)
    run_stage("publish", monkeypatch, "first")
    assert tracking.is_published(provenance.read_lock())
    Path("mlflow.db").rename("old.db")
    assert not tracking.is_published(provenance.read_lock())


STAGE = """
import json, sys
from pathlib import Path
from pipeline import tracking
from pipeline.core.config import load_params
with tracking.stage("prepare", load_params()) as record:
    out = Path("reports/prepare/metrics.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"pairs": 3}))
    record.artifacts = [out]
"""
PIPELINE = {
    "stages": {
        "prepare": {
            "desc": "A table -> pairs.",
            "cmd": "python stage.py",
            "params": ["data"],
            "outs": [{"reports/prepare/metrics.json": {"cache": False}}],
        },
        "publish": {
            "cmd": "python -m pipeline publish",
            "deps": ["reports/prepare/metrics.json"],
            "always_changed": True,
        },
    }
}


def test_under_dvc(project, monkeypatch):
    """A stage alone, then the whole pipeline, then nothing to do."""
    programs = Path(sys.executable).parent
    monkeypatch.delenv("PIPELINE_RUN_KEY")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    Path("stage.py").write_text(STAGE)
    Path("dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "config", "core.analytics", "false"]):
        subprocess.run(command, check=True, capture_output=True)
    for targets in (["prepare"], [], []):
        done = subprocess.run(["dvc", "repro", *targets], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    [parent] = published_runs(project)
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    prepare = client.get_run(parent.data.tags["stage.prepare.run_id"])
    assert (parent.info.status, parent.data.metrics, parent.data.tags["stages.ran"]) == (
        "FINISHED",
        {"data/pairs": 3},
        "none",
    )
    assert STAGE_FINGERPRINT_TAG in prepare.data.tags
    assert prepare.data.tags["mlflow.note.content"] == "A table -> pairs."
    alone = client.get_run(prepare.data.tags["mlflow.parentRunId"])
    assert (alone.info.status, alone.data.tags["pipeline.published"]) == ("FINISHED", "false")
