"""A stage imports only the libraries that it uses: each costs every run of it up to seconds."""

import os
import subprocess
import sys

import pytest

from pipeline.__main__ import STAGES

TRAINERS = {"transformers.trainer", "sentence_transformers", "datasets"}
MODELS = {"torch", "transformers"}
# MLflow is imported by the first contact, and pyplot never: figures are drawn on canvases of their own.
HEAVY = {
    *MODELS,
    *TRAINERS,
    "matplotlib",
    "matplotlib.pyplot",
    "mlflow",
    "pandas",
    "scipy.stats",
    "sklearn",
    "tokenizers",
}
OF_MODELS = {*MODELS, "pandas", "scipy.stats", "tokenizers"}
USED = {
    "prepare": {"pandas"},
    "finetune": {*OF_MODELS, "sklearn"},
    "bilstm": {"pandas", "scipy.stats", "torch"},
    "attention": {*OF_MODELS, "sklearn"},
    "head_ablation": OF_MODELS,
    "group_ablation": OF_MODELS,
    "dependency": OF_MODELS,
    "pruning": OF_MODELS,
    "report": {"matplotlib", "pandas", "scipy.stats"},
    "publish": set(),
}


def modules_after(program: str, **environment: str) -> set[str]:
    """Names of the modules that a fresh interpreter has imported after the program."""
    command = [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return set(done.stdout.split())


def stage_param(stage: str):
    """The stage; one that imports torch takes seconds: of these the one of most modules is always tested."""
    is_slow = "torch" in USED[stage] and stage != "pruning"
    return pytest.param(stage, marks=pytest.mark.slow if is_slow else ())


@pytest.mark.parametrize("stage", [stage_param(stage) for stage in STAGES])
def test_a_stage_imports_no_library_that_it_does_not_use(stage):
    assert HEAVY & modules_after(f"import pipeline.__main__, pipeline.stages.{stage}") <= USED[stage]


@pytest.mark.parametrize("command", ["export", "pruning_study"])
def test_a_command_imports_the_libraries_of_models_only_once_it_works(command):
    assert not HEAVY & modules_after(f"import pipeline.{command}.__main__")


def test_the_client_of_a_server_imports_no_library_of_databases():
    program = "from pipeline.tracking import mlflow_client as m; m._open(m.tracking_uri())"
    imported = modules_after(program, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "mlflow" in imported
    assert not {"sqlalchemy", "alembic"} & imported
