"""The columns that every table of interventions (heads masked) has: the measures, and their changes with intervals."""

from math import inf
from pathlib import Path

from pipeline.core.schemas import (
    ANY,
    CHANGE_OF_SHARE,
    GRADE,
    POSITIVE,
    SHARE,
    Arrays,
    Column,
    estimate,
    integer,
    number,
)
from pipeline.stats.metrics import RELATIVE_ACCURACY_CHANGE

RELATIVE = "fraction of the unmasked accuracy"
Range = tuple[float, float]


def relative_change(name: str, meaning: str) -> Column:
    """A relative accuracy change: at worst -1; undefined where the unmasked model grades no pair right."""
    return number(name, meaning, RELATIVE, (-1, inf), missing=True)


def change(name: str, unit: str = "", range: Range = ANY, *, missing: bool = False) -> tuple[Column, ...]:
    """The change of a measure, masked minus unmasked, with its interval."""
    return estimate(number(f"{name}_change", f"masked minus unmasked `{name}`", unit, range, missing=missing))


def mask_logits(path: Path, masked: str) -> Arrays:
    """The raw logits of every mask of a sweep over test; `masked`: what a mask is for."""
    keys = {
        "masks": "multipliers of the heads' outputs, 0 masked and 1 not, float32 [mask, layer, head]",
        "masked_logits": "logits under each mask, float32 [mask, pair, grade]",
        "unmasked_logits": "logits with nothing masked, float32 [pair, grade]",
        "pairs": "row of each pair in data/prepared/test.parquet, from 0, int64 [pair]",
    }
    return Arrays(path, f"raw logits of every mask, one for each {masked}; for analyses of your own", keys)


ACCURACY = (
    number("accuracy", "share of pairs whose predicted grade is the gold one, masked", range=SHARE),
    *estimate(relative_change(RELATIVE_ACCURACY_CHANGE, "masked / unmasked accuracy - 1")),
)
MEASURES = (
    *ACCURACY,
    number("qwk", "quadratic weighted kappa", range=(-1, 1), missing=True),
    *change("qwk", range=(-2, 2), missing=True),
    number("mae", "mean distance of predicted and gold grade", "grades", POSITIVE),
    *change("mae", "grades"),
    number("log_loss", "mean negative log-likelihood of the gold grade", "nats", POSITIVE),
    *change("log_loss", "nats"),
    number("logit_margin", "mean of the gold grade's logit minus the highest of the others", "logits"),
    *change("logit_margin", "logits"),
    number("ndcg_at_10", "NDCG of the first ten titles by expected grade, mean over queries", "", SHARE, missing=True),
    *change("ndcg_at_10", range=CHANGE_OF_SHARE, missing=True),
    number(f"recall_{GRADE}", "share of the grade's pairs that are predicted as it", "", SHARE, missing=True),
    *change(f"recall_{GRADE}", range=CHANGE_OF_SHARE, missing=True),
    integer("right_to_wrong", "pairs graded right unmasked and wrong masked", "pairs"),
    integer("wrong_to_right", "pairs graded wrong unmasked and right masked", "pairs"),
)
