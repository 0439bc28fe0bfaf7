"""A fine-tuned model as MLflow keeps it."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def logged(client: "MlflowClient", run: "Run") -> list[str]:
    """Ids of the models that the run logged whole: MLflow names a model before its files are there."""
    named = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    return [model_id for model_id in named if client.get_logged_model(model_id).status == "READY"]


def log_model(tracking_uri: str, run_id: str, base: Path, folder: Path) -> None:
    """Log the classifier below `base` for `mlflow.transformers.load_model`: a pipeline over a text and a text_pair."""
    import mlflow.transformers
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(base / folder)
    # MLflow asks the model hub about this name; one that no hub accepts keeps it from asking.
    model.name_or_path = f"./{folder}"
    inputs = Schema([ColSpec("string", "text"), ColSpec("string", "text_pair")])
    outputs = Schema([ColSpec("string", "label"), ColSpec("double", "score")])
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run(run_id=run_id):
        mlflow.transformers.log_model(
            {"model": model, "tokenizer": AutoTokenizer.from_pretrained(base / folder)},
            name="model",
            task="text-classification",
            signature=ModelSignature(inputs, outputs),
            pip_requirements=[f"{package}=={version(package)}" for package in ("transformers", "torch")],
        )
