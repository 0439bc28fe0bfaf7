"""A stage imports only the libraries that it uses: each costs every run of it up to seconds."""

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


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_library_that_it_does_not_use(stage):
    program = f"import sys, pipeline.__main__, pipeline.stages.{stage}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) <= USED[stage]
