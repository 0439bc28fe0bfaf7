"""What finetune and the BiLSTM baseline predict, pair by pair."""

from pathlib import Path

from pipeline.core import paths
from pipeline.core.schemas import GRADE, POSITIVE, Column, Table
from pipeline.tables import prepare


def _predictions(path: Path) -> Table:
    return Table(
        path,
        "a pair of the split, graded by the model (the fine-tuned BERT, the BiLSTM)",
        (
            prepare.QUERY_ID,
            prepare.GRADE,
            Column("predicted", "int64", "grade of the highest logit", range=POSITIVE),
            Column(f"logit_{GRADE}", "float32", "logit of the grade"),
        ),
    )


PREDICTIONS = {split: _predictions(paths.PREDICTIONS / f"{split}.parquet") for split in ("dev", "test")}
BILSTM_PREDICTIONS = _predictions(paths.BASELINE_PREDICTIONS)
