"""What the model and the BiLSTM predict on test, pair by pair, and their learning curves; by kind of model."""

from dataclasses import replace
from pathlib import Path

from pipeline.core import paths
from pipeline.core.schemas import GRADE, POSITIVE, SHARE, Column, Table, integer, number
from pipeline.stats.measure_sets import GRADER, KINDS, RANKER, MeasureSet
from pipeline.tables import prepare

BM25 = number("bm25", "BM25 of the title for the query", "", POSITIVE)
PREDICTED = {
    GRADER.kind: (
        integer("predicted", "grade of the highest logit"),
        Column(f"logit_{GRADE}", "float32", "logit of the grade"),
    ),
    RANKER.kind: (Column("score", "float32", "raw score, by which the titles of a query are ranked", "logits"),),
}


def _predictions(path: Path, measures: MeasureSet, *others: Column) -> Table:
    verb = "graded" if measures is GRADER else "scored"
    title = f"a test pair, {verb} by the model (the fine-tuned BERT, the BiLSTM)"
    return Table(path, title, (prepare.QUERY_ID, prepare.GRADE, *PREDICTED[measures.kind], *others))


NUMBER = integer("epoch", "number from 1; 0 where nothing was trained")
LOSS = number("train_loss", "mean cross-entropy of the training pairs", "nats", POSITIVE, missing=True)
SPEARMAN = number(
    "dev_spearman", "rank correlation of expected and gold grade, mean over queries", "", (-1, 1), missing=True
)
EPOCH = {
    GRADER.kind: (
        NUMBER,
        LOSS,
        number("dev_accuracy", "share of the dev pairs whose predicted grade is the gold one", range=SHARE),
        number("dev_qwk", "quadratic weighted kappa on dev", range=(-1, 1), missing=True),
        number("dev_mae", "mean distance of predicted and gold grade on dev", "grades", POSITIVE),
        number("dev_macro_f1", "F1 of a grade on dev, mean over the grades", range=SHARE),
        number("dev_log_loss", "mean negative log-likelihood of the gold grade on dev", "nats", POSITIVE),
        SPEARMAN,
        number("dev_ndcg_at_10", "NDCG of the first ten titles, mean over dev queries", range=SHARE, missing=True),
    ),
    RANKER.kind: (
        NUMBER,
        replace(LOSS, meaning="mean loss of the training steps, that of `finetune.objective`", unit=""),
        *(
            number(f"dev_{measure.name}", f"{measure.meaning}, on dev", measure.unit, measure.range, missing=True)
            for measure in RANKER.graded
        ),
        replace(SPEARMAN, meaning="rank correlation of score and gold grade, mean over queries"),
    ),
}


def _curve(path: Path, measures: MeasureSet) -> Table:
    return Table(path, f"an epoch of training (fine-tuning BERT, the BiLSTM; a {measures.kind})", EPOCH[measures.kind])


TEST_PREDICTIONS = {
    GRADER.kind: _predictions(paths.TEST_PREDICTIONS, GRADER),
    RANKER.kind: _predictions(paths.TEST_PREDICTIONS, RANKER, BM25),
}
BILSTM_PREDICTIONS = {measures.kind: _predictions(paths.BILSTM_PREDICTIONS, measures) for measures in KINDS}
CURVE = {measures.kind: _curve(paths.CURVE, measures) for measures in KINDS}
BILSTM_CURVE = {measures.kind: _curve(paths.BILSTM_CURVE, measures) for measures in KINDS}
