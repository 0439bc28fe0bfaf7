"""The columns that every table of interventions (heads masked) has: the measures, and their changes with intervals."""

from pipeline.core.schemas import ANY, CHANGE_OF_SHARE, GRADE, POSITIVE, SHARE, Column, estimate
from pipeline.stats.metrics import RELATIVE_ACCURACY_CHANGE

LOSS_OR_GAIN = (-1.0, POSITIVE[1])  # of a relative change: all that there was may be lost, gains have no bound
RELATIVE = "fraction of the unmasked accuracy"


def relative_change(name: str, meaning: str) -> Column:
    """A relative accuracy change, undefined where the unmasked model grades no pair right."""
    return Column(name, "float64", meaning, RELATIVE, LOSS_OR_GAIN, missing=True)


def _measure(
    name: str,
    meaning: str,
    unit: str = "",
    of: tuple[float, float] = ANY,
    change: tuple[float, float] = ANY,
    missing: bool = False,
) -> tuple[Column, ...]:
    """A measure of the masked model and its change, masked minus unmasked, with the change's interval."""
    return Column(name, "float64", meaning, unit, of, missing=missing), *measure_change(name, unit, change, missing)


def measure_change(
    name: str, unit: str = "", change: tuple[float, float] = ANY, missing: bool = False
) -> tuple[Column, ...]:
    """The change of a measure, masked minus unmasked, with its interval."""
    return estimate(
        Column(f"{name}_change", "float64", f"masked minus unmasked `{name}`", unit, change, missing=missing)
    )


ACCURACY = (
    Column("accuracy", "float64", "share of pairs whose predicted grade is the gold one, masked", range=SHARE),
    *estimate(relative_change(RELATIVE_ACCURACY_CHANGE, "masked / unmasked accuracy - 1")),
)
MEASURES = (
    *ACCURACY,
    *_measure("qwk", "quadratic weighted kappa", "", (-1, 1), (-2, 2), missing=True),
    *_measure("mae", "mean distance of predicted and gold grade", "grades", POSITIVE),
    *_measure("log_loss", "mean negative log-likelihood of the gold grade", "nats", POSITIVE),
    *_measure("margin", "mean of the gold grade's logit minus the highest of the others", "logits"),
    *_measure(
        "ndcg_at_10",
        "NDCG of a query's first ten titles by expected grade, mean over queries",
        "",
        SHARE,
        CHANGE_OF_SHARE,
        missing=True,
    ),
    *_measure(
        f"recall_{GRADE}",
        "share of the grade's pairs that are predicted as it",
        "",
        SHARE,
        CHANGE_OF_SHARE,
        missing=True,
    ),
    Column("right_to_wrong", "int64", "pairs graded right unmasked and wrong masked", "pairs", POSITIVE),
    Column("wrong_to_right", "int64", "pairs graded wrong unmasked and right masked", "pairs", POSITIVE),
)
