"""What finetune writes beside its predictions: the learning curve."""

from pipeline.core import paths
from pipeline.core.schemas import POSITIVE, SHARE, Table, integer, number

CURVE = Table(
    paths.CURVE,
    "an epoch of fine-tuning",
    (
        integer("epoch", "number from 1; 0 where nothing was trained"),
        number("train_loss", "mean cross-entropy of the training pairs", "nats", POSITIVE, missing=True),
        number("dev_accuracy", "share of the dev pairs whose predicted grade is the gold one", range=SHARE),
        number("dev_qwk", "quadratic weighted kappa on dev", range=(-1, 1), missing=True),
        number("dev_mae", "mean distance of predicted and gold grade on dev", "grades", POSITIVE),
        number("dev_macro_f1", "F1 of a grade on dev, mean over the grades", range=SHARE),
        number("dev_log_loss", "mean negative log-likelihood of the gold grade on dev", "nats", POSITIVE),
        number(
            "dev_spearman",
            "rank correlation of expected and gold grade, mean over queries",
            "",
            (-1, 1),
            missing=True,
        ),
        number("dev_ndcg_at_10", "NDCG of the first ten titles, mean over dev queries", range=SHARE, missing=True),
    ),
)
