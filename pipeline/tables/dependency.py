"""What dependency writes: what masking low heads does to the [CLS] attention of high ones, and what those mediate."""

from dataclasses import replace

from pipeline.core import paths
from pipeline.core.schemas import CHANGE_OF_SHARE, POSITIVE, SHARE, Column, Records, Table, estimate
from pipeline.tables.heads import HEAD, head_columns

MATCH_SHARE = "share of [CLS]'s attention to terms that falls on shared ones"


def _shift(name: str, meaning: str, missing: bool = False) -> tuple[Column, ...]:
    return estimate(Column(f"{name}_change", "float64", f"change of {meaning}", "", CHANGE_OF_SHARE, missing=missing))


SHIFTS = (
    *estimate(Column("js", "float64", "mean Jensen-Shannon distance of [CLS]'s row to the unmasked one", "", SHARE)),
    *_shift("match_mass", "the attention on terms that both texts hold", missing=True),
    *_shift("other_mass", "the attention on terms of one text", missing=True),
    *_shift("sep_mass", "the attention on [SEP]"),
    *_shift("cls_mass", "the attention on [CLS] itself"),
    *_shift("entropy", "the row's entropy over log(tokens)"),
    *_shift("match_share", f"the {MATCH_SHARE}", missing=True),
)
EDGES = Table(
    paths.EDGES,
    "a head masked alone, and a head of a later layer, on test",
    (
        *head_columns("source_", "the masked head"),
        *head_columns("target_", "the later head"),
        *SHIFTS,
        Column("p", "float64", "p-value of `match_share_change`, sign flips per query", range=SHARE, missing=True),
        Column("q", "float64", "`p` corrected over all edges (Benjamini-Hochberg)", range=SHARE, missing=True),
    ),
)
EDGES_TERM_MATCH = Table(
    paths.GROUP_EDGES,
    "a head of a later layer, with the term-match heads masked together, on test",
    (*head_columns("target_", "the later head"), *SHIFTS),
)


def _against_chance(prefix: str, split: str) -> tuple[Column, ...]:
    share = Column(f"{prefix}share", "float64", f"{MATCH_SHARE}, on {split}", "", SHARE, missing=True)
    chance = replace(share, name=f"{prefix}chance", meaning=f"`{prefix}share` of attention spread evenly")
    difference = replace(
        share, name=f"{prefix}difference", meaning=f"`{prefix}share` minus `{prefix}chance`", range=CHANGE_OF_SHARE
    )
    return share, chance, *estimate(difference)


def _with_rows(*columns: Column) -> tuple[Column, ...]:
    """Columns that an empty table, of a model without high heads to look at, does not have."""
    return tuple(replace(column, presence="with rows") for column in columns)


def _effect(name: str, meaning: str) -> tuple[Column, ...]:
    return estimate(Column(name, "float64", f"change of the mean gold-logit margin {meaning}", "logits"))


MEDIATION = Table(
    paths.READERS,
    "a high head, chosen on dev and judged on test",
    (
        *HEAD,
        *_against_chance("dev_", "dev"),
        *estimate(
            Column("dev_margin_change", "float64", "change of the gold-logit margin, head masked, dev", "logits")
        ),
        Column("reader", "bool", "whether dev shows it far from chance (`attention.label_margin`), and mattering"),
        *_with_rows(
            *_against_chance("", "test"),
            *estimate(
                Column(
                    "share_change",
                    "float64",
                    "change of `share` with the term-match heads masked",
                    "",
                    CHANGE_OF_SHARE,
                    missing=True,
                )
            ),
            Column("control_draws", "int64", "layer-matched random groups of heads masked instead", "groups", POSITIVE),
            Column("control_median", "float64", "median of their `share_change`", "", CHANGE_OF_SHARE, missing=True),
            Column(
                "percentile",
                "float64",
                "position of the change's size among theirs, 0 below all",
                "",
                SHARE,
                missing=True,
            ),
            Column("p", "float64", "(1 + random groups that move it as far) / (1 + random groups)", range=SHARE),
            *_effect("total", "with the term-match heads masked"),
            *_effect("indirect", "with the head's output alone as it is where they are masked"),
            *_effect("direct", "with them masked and the head's output as it is unmasked"),
            *estimate(
                Column(
                    "mediated",
                    "float64",
                    "`indirect` / `total`, where the interval of `total` leaves out 0",
                    missing=True,
                )
            ),
        ),
    ),
)
EXAMPLE_CLS_ATTENTION = Records(
    paths.SHOWN,
    "a test pair, and what [CLS] attends to in the relay head that dev needs most",
    {
        "query": "text of the query",
        "title": "text of the title",
        "grade": "gold grade, 0 the worst",
        "layer": "layer of the head, from 0",
        "head": "number of the head in its layer, from 0",
        "tokens": "readable text of every token, [token]",
        "matched": "whether both texts hold the token's term, [token]",
        "unmasked": "attention of [CLS], 0 to 1, [token]",
        "masked": "the same with the term-match heads masked, [token]",
    },
)
