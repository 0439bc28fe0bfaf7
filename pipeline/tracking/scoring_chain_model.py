"""Code that MLflow logs beside the folder of a scoring chain, so that `mlflow.pyfunc.load_model` scores pairs.

MLflow's flavor for transformers knows sequence classifiers alone. Run by MLflow, imported by nothing here.
"""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ScoringChainModel(PythonModel):
    """A `CrossEncoder`: one score for each row of the columns text and text_pair."""

    def load_context(self, context: Any) -> None:
        from sentence_transformers import CrossEncoder

        self.model = CrossEncoder(context.artifacts["model"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> np.ndarray:
        """Scores [row], under the activation that the folder names."""
        pairs = list(zip(model_input["text"], model_input["text_pair"], strict=True))
        return np.asarray(self.model.predict(pairs))


set_model(ScoringChainModel())
