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
    text,
)
from pipeline.stats.measure_sets import KINDS, MeasureSet
from pipeline.stats.measures import Measure

# Whose outputs mediate jointly, besides those of "layer 3" and the like.
RELAY_HEADS, OTHERS, UPPER_LAYERS = "relay heads", "other candidates", "upper layers"
ALL_ROWS, CLS_ROW = "all", "[CLS]"  # which rows of them
SHARED, OTHER_TERM, SEP, CLS, PUNCTUATION = "shared term", "other term", "[SEP]", "[CLS]", "punctuation"
TOKEN_KINDS = (SHARED, OTHER_TERM, SEP, CLS, PUNCTUATION)  # by `cls_attention.token_kinds`, the last one's being -1
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


def _margin_change(name: str, meaning: str) -> tuple[Column, ...]:
    return estimate(number(name, f"change of the mean margin (gold logit, or score) {meaning}", "logits"))


def _costs(margin: Measure, prefix: str, split: str) -> tuple[Column, ...]:
    """What masking a head, and masking its [CLS] row alone, changes."""
    return (
        *_margin_change(f"{prefix}{margin.change}", f"with the head masked, on {split}"),
        *_margin_change(f"{prefix}cls_row_{margin.change}", f"with its [CLS] row alone masked, on {split}"),
    )


def _mediation(outputs: str) -> tuple[Column, ...]:
    """The effects through some outputs, and the first share of the total."""
    return (
        *_margin_change("total", "with the term-match heads masked"),
        *_margin_change("indirect", f"with {outputs} alone as where they are masked"),
        *_margin_change("direct", f"with them masked and {outputs} as unmasked"),
        *_share("mediated", "`indirect` / `total`, where the interval of `total` leaves out 0"),
    )


def _share(name: str, meaning: str) -> tuple[Column, ...]:
    return estimate(number(name, meaning, missing=True))


def _of_rows(margin: Measure) -> tuple[Column, ...]:
    return (
        *_against_chance("", "test"),
        *_change("share", "`share` with the term-match heads masked", missing=True),
        integer("random_groups", "layer-matched random groups of heads masked instead", "groups"),
        number("random_median", "median of their `share_change`", "", CHANGE_OF_SHARE, missing=True),
        number("percentile", "position of the change's size among theirs, 0 below all", "", SHARE, missing=True),
        number("p", "(1 + random groups that move it as far) / (1 + random groups)", range=SHARE),
        number("entropy", "[CLS]'s row's entropy over log(tokens), unmasked", range=SHARE),
        *_change("entropy", "`entropy` with the term-match heads masked"),
        number(
            "random_entropy_median", "median of the random groups' `entropy_change`", "", CHANGE_OF_SHARE, missing=True
        ),
        *_costs(margin, "", "test"),
        *_mediation("the head's [CLS] row"),
    )


def _mediation_table(measures: MeasureSet) -> Table:
    margin = measures.margin
    columns = (
        *HEAD,
        *_against_chance("dev_", "dev"),
        number("dev_term_mass", "the attention of [CLS] on terms at all, on dev", "", SHARE, missing=True),
        *_costs(margin, "dev_", "dev"),
        number("dev_p", f"p-value of `dev_cls_row_{margin.change}`, sign flips per query", range=SHARE),
        number("dev_q", "`dev_p` corrected over the candidates (Benjamini-Hochberg)", range=SHARE),
        flag("is_relay_head", "its [CLS] row costs on dev: `dev_q` below 0.05, and the margin falls"),
        *(replace(column, presence="with rows") for column in _of_rows(margin)),
    )
    return Table(paths.MEDIATION, f"a high head, chosen on dev and judged on test (a {measures.kind}'s)", columns)


MEDIATION = {measures.kind: _mediation_table(measures) for measures in KINDS}
HEADLINE_OF = {
    "total": "with the term-match heads masked",
    "indirect": "in the state of `indirect`",
    "direct": "in the state of `direct`",
    "ablated": "in the state of `ablated`",
}


def _joint_mediation(measures: MeasureSet) -> Table:
    headline = measures.headline
    title = "outputs of many heads at once, on test: what they mediate jointly of the term-match heads' effect"
    columns = (
        text(
            "outputs",
            "whose they are: relay heads, other candidates, a layer's or the upper layers' but term-match heads",
        ),
        text("rows", "which of the heads' rows", ALL_ROWS, CLS_ROW),
        integer("heads", "number of heads", "heads", low=1),
        *(
            replace(column, presence="with rows")
            for column in (
                *_mediation("these outputs"),
                *_share("restored", "1 - `direct` / `total`, likewise"),
                *_share("above_others", "`mediated` minus that of the other candidates' same rows"),
                *_margin_change("ablated", "with these outputs zero"),
                *(
                    number(f"{name}_{headline.change}", f"relative change of {headline.label} {state}", missing=True)
                    for name, state in HEADLINE_OF.items()
                ),
            )
        ),
    )
    return Table(paths.JOINT_MEDIATION, f"{title} (a {measures.kind}'s)", columns)


JOINT_MEDIATION = {measures.kind: _joint_mediation(measures) for measures in KINDS}
EXAMPLE_CLS_ATTENTION = Records(
    paths.EXAMPLE_CLS_ATTENTION,
    "a test pair, and what [CLS] attends to in the relay head whose [CLS] row costs most on dev",
    {
        "query": "text of the query",
        "title": "text of the title",
        "grade": "gold grade, 0 the worst",
        "layer": "layer of the head, from 0",
        "head": "number of the head in its layer, from 0",
        "tokens": "readable text of every token, [token]",
        "kinds": f"kind of every token, one of {', '.join(TOKEN_KINDS)}, [token]",
        "unmasked": "attention of [CLS], 0 to 1, [token]",
        "masked": "the same with the term-match heads masked, [token]",
    },
)
