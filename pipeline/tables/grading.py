"""The model as a grader: its learning curve, and what it and the BiLSTM predict on test, pair by pair."""

from pathlib import Path

from pipeline.core import paths
from pipeline.core.schemas import GRADE, POSITIVE, SHARE, Column, Table, integer, number
from pipeline.tables import prepare

MODELS = "the model (the fine-tuned BERT, the BiLSTM)"
PREDICTED = integer("predicted", "grade of the highest logit")
LOGIT = Column(f"logit_{GRADE}", "float32", "logit of the grade")
SCORE = number("score", "score of the pair, the model's raw logit")
BM25 = number("bm25", "BM25 of the pair, its documents the titles of test")


def _predictions(path: Path, *of_ranker: Column) -> dict[str, Table]:
    """Predictions by kind of model."""
    graded, scored = f"a test pair, graded by {MODELS}", f"a test pair, scored by {MODELS}"
    return {
        "grader": Table(path, graded, (prepare.QUERY_ID, prepare.GRADE, PREDICTED, LOGIT)),
        "ranker": Table(path, scored, (prepare.QUERY_ID, prepare.GRADE, *of_ranker)),
    }


EPOCH = (
    integer("epoch", "number from 1; 0 where nothing was trained"),
    number("train_loss", "mean cross-entropy of the training pairs", "nats", POSITIVE, missing=True),
    number("dev_accuracy", "share of the dev pairs whose predicted grade is the gold one", range=SHARE),
    number("dev_qwk", "quadratic weighted kappa on dev", range=(-1, 1), missing=True),
    number("dev_mae", "mean distance of predicted and gold grade on dev", "grades", POSITIVE),
    number("dev_macro_f1", "F1 of a grade on dev, mean over the grades", range=SHARE),
    number("dev_log_loss", "mean negative log-likelihood of the gold grade on dev", "nats", POSITIVE),
    number("dev_spearman", "rank correlation of expected and gold grade, mean over queries", "", (-1, 1), missing=True),
    number("dev_ndcg_at_10", "NDCG of the first ten titles, mean over dev queries", range=SHARE, missing=True),
)


def _curve(path: Path) -> Table:
    return Table(path, "an epoch of training (fine-tuning BERT, the BiLSTM)", EPOCH)


TEST_PREDICTIONS = _predictions(paths.TEST_PREDICTIONS, SCORE, BM25)
BILSTM_PREDICTIONS = _predictions(paths.BILSTM_PREDICTIONS, SCORE)
CURVE = _curve(paths.CURVE)
BILSTM_CURVE = _curve(paths.BILSTM_CURVE)
