"""What finetune and the BiLSTM baseline predict, pair by pair."""

from pathlib import Path

from pipeline.core import paths
from pipeline.core.schemas import GRADE, Column, Table, integer
from pipeline.tables import prepare


def _predictions(path: Path) -> Table:
    title = "a pair of the split, graded by the model (the fine-tuned BERT, the BiLSTM)"
    predicted = integer("predicted", "grade of the highest logit")
    logit = Column(f"logit_{GRADE}", "float32", "logit of the grade")
    return Table(path, title, (prepare.QUERY_ID, prepare.GRADE, predicted, logit))


PREDICTIONS = {split: _predictions(paths.PREDICTIONS / f"{split}.parquet") for split in ("dev", "test")}
BILSTM_PREDICTIONS = _predictions(paths.BASELINE_PREDICTIONS)
