"""What finetune writes beside its predictions: the learning curve."""

from pipeline.core import paths
from pipeline.core.schemas import POSITIVE, SHARE, Column, Table

CURVE = Table(
    paths.CURVE,
    "an epoch of fine-tuning",
    (
        Column("epoch", "int64", "number from 1; 0 where nothing was trained", range=POSITIVE),
        Column("train_loss", "float64", "mean cross-entropy of the training pairs", "nats", POSITIVE, missing=True),
        Column("dev_accuracy", "float64", "share of the dev pairs whose predicted grade is the gold one", range=SHARE),
        Column("dev_qwk", "float64", "quadratic weighted kappa on dev", range=(-1, 1), missing=True),
        Column("dev_mae", "float64", "mean distance of predicted and gold grade on dev", "grades", POSITIVE),
        Column("dev_macro_f1", "float64", "F1 of a grade on dev, mean over the grades", range=SHARE),
        Column("dev_log_loss", "float64", "mean negative log-likelihood of the gold grade on dev", "nats", POSITIVE),
        Column(
            "dev_spearman",
            "float64",
            "rank correlation of expected and gold grade in a dev query, mean over queries",
            range=(-1, 1),
            missing=True,
        ),
        Column(
            "dev_ndcg_at_10",
            "float64",
            "NDCG of a dev query's first ten titles by expected grade, mean over queries",
            range=SHARE,
            missing=True,
        ),
    ),
)
