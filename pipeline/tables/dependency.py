"""What dependency writes: what masking low heads does to the [CLS] attention of high ones, and what those mediate."""

from dataclasses import replace

from pipeline.core import paths
from pipeline.core.schemas import (
    CHANGE_OF_SHARE,
    HEAD,
    SHARE,
    Column,
    Records,
    Table,
    estimate,
    flag,
    head_columns,
    integer,
    number,
)

SHARED_TERMS = "share of [CLS]'s attention to terms that falls on shared ones"


def _change(name: str, meaning: str, *, missing: bool = False) -> tuple[Column, ...]:
    return estimate(number(f"{name}_change", f"change of {meaning}", "", CHANGE_OF_SHARE, missing=missing))


SHIFTS = (
    *estimate(number("js", "mean Jensen-Shannon distance of [CLS]'s row to the unmasked one", range=SHARE)),
    *_change("shared_term_mass", "the attention on terms that both texts hold", missing=True),
    *_change("other_term_mass", "the attention on terms of one text", missing=True),
    *_change("sep_mass", "the attention on [SEP]"),
    *_change("cls_mass", "the attention on [CLS] itself"),
    *_change("entropy", "the row's entropy over log(tokens)"),
    *_change("shared_term_share", f"the {SHARED_TERMS}", missing=True),
)
EDGES = Table(
    paths.EDGES,
    "a head masked alone, and a head of a later layer, on test",
    (
        *head_columns("source_", "the masked head"),
        *head_columns("target_", "the later head"),
        *SHIFTS,
        number("p", "p-value of `shared_term_share_change`, sign flips per query", range=SHARE),
        number("q", "`p` corrected over all edges (Benjamini-Hochberg)", range=SHARE),
    ),
)
EDGES_TERM_MATCH = Table(
    paths.EDGES_TERM_MATCH,
    "a head of a later layer, with the term-match heads masked together, on test",
    (*head_columns("target_", "the later head"), *SHIFTS),
)


def _against_chance(prefix: str, split: str) -> tuple[Column, ...]:
    """A head's share, that of attention spread evenly, and their difference; undefined where no pair defines it."""
    share, chance = f"{prefix}share", f"{prefix}chance"
    apart = number(f"{prefix}difference", f"`{share}` minus `{chance}`", "", CHANGE_OF_SHARE, missing=True)
    return (
        number(share, f"{SHARED_TERMS}, on {split}", "", SHARE, missing=True),
        number(chance, f"`{share}` of attention spread evenly", "", SHARE, missing=True),
        *estimate(apart),
    )


def _logit_margin_change(name: str, meaning: str) -> tuple[Column, ...]:
    return estimate(number(name, f"change of the mean gold-logit margin {meaning}", "logits"))


OF_ROWS = (
    *_against_chance("", "test"),
    *_change("share", "`share` with the term-match heads masked", missing=True),
    integer("random_groups", "layer-matched random groups of heads masked instead", "groups"),
    number("random_median", "median of their `share_change`", "", CHANGE_OF_SHARE, missing=True),
    number("percentile", "position of the change's size among theirs, 0 below all", "", SHARE, missing=True),
    number("p", "(1 + random groups that move it as far) / (1 + random groups)", range=SHARE),
    *_logit_margin_change("total", "with the term-match heads masked"),
    *_logit_margin_change("indirect", "with the head's output alone as it is where they are masked"),
    *_logit_margin_change("direct", "with them masked and the head's output as it is unmasked"),
    *estimate(number("mediated", "`indirect` / `total`, where the interval of `total` leaves out 0", missing=True)),
)
MEDIATION = Table(
    paths.MEDIATION,
    "a high head, chosen on dev and judged on test",
    (
        *HEAD,
        *_against_chance("dev_", "dev"),
        *_logit_margin_change("dev_logit_margin_change", "with the head masked, on dev"),
        flag("is_relay_head", "dev shows it far from chance (`attention.label_threshold`), and mattering"),
        *(replace(column, presence="with rows") for column in OF_ROWS),
    ),
)
EXAMPLE_CLS_ATTENTION = Records(
    paths.EXAMPLE_CLS_ATTENTION,
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
