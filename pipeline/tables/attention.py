"""What attention writes: what each head attends to, what it does, and what fine-tuning changed."""

from dataclasses import replace

from pipeline.core import paths
from pipeline.core.schemas import CHANGE_OF_SHARE, SHARE, Column, Records, Table, interval
from pipeline.tables.heads import HEAD

FUNCTION = Column(
    "function",
    "str",
    "function scored, see docs/method.md",
    values=(
        "term_match",
        "segmentation",
        "previous_term",
        "next_term",
        "self",
        "cls",
        "sep",
        "cross_text",
        "entropy",
    ),
)
# Undefined where no pair defines the function.
SCORE = Column("score", "float64", "mean score over dev pairs: share of attention on targets", "", SHARE, missing=True)
BEFORE = replace(SCORE, name="before", meaning="mean score before fine-tuning")
AFTER = replace(SCORE, name="after", meaning="mean score after fine-tuning")
CHANGE = Column("change", "float64", "score after minus before fine-tuning", "", CHANGE_OF_SHARE, missing=True)
NULL_CHANGE = replace(
    CHANGE,
    name="null_change",
    meaning="`change` where the grades are shuffled, with `attention.drift_null`",
    presence="optional",
)
DIFFERENCE = Column("difference", "float64", "score minus control", "", CHANGE_OF_SHARE, missing=True)

PROFILES = Table(
    paths.PROFILES,
    "a head, function and phase",
    (
        *HEAD,
        FUNCTION,
        Column("phase", "str", "before or after fine-tuning", values=("before", "after")),
        SCORE,
        Column("chance", "float64", "score of attention spread evenly", "", SHARE, missing=True),
    ),
)
LABELS = Table(
    paths.LABELS,
    "a head and function, after fine-tuning",
    (
        *HEAD,
        FUNCTION,
        SCORE,
        Column("control", "float64", "score where the function has nothing to act on", "", SHARE, missing=True),
        DIFFERENCE,
        *interval(DIFFERENCE, "low", "high"),
        Column(
            "shuffled", "float64", "score on shuffled words, of previous_term and next_term", "", SHARE, missing=True
        ),
        Column("label", "bool", "whether the head has the function: `low` exceeds `attention.label_margin`"),
        Column(
            "follows",
            "str",
            "what a labelled previous_term or next_term head follows",
            values=("position", "content"),
            missing=True,
        ),
    ),
)
ATTENTION_SHIFT = Table(
    paths.MOVES,
    "a head and function, fine-tuning's change paired by pair",
    (
        *HEAD,
        FUNCTION,
        BEFORE,
        AFTER,
        CHANGE,
        *interval(CHANGE, "low", "high"),
        Column("p", "float64", "p-value of the change, sign flips per query", "", SHARE, missing=True),
        Column("q", "float64", "`p` corrected over all rows (Benjamini-Hochberg)", "", SHARE, missing=True),
        Column("moved", "str", "direction of the change where q < 0.05", values=("up", "down"), missing=True),
    ),
)
ATTENTION_SHIFT_MEAN = Table(
    paths.MEAN_MOVES,
    "a function, fine-tuning's change averaged over heads",
    (
        FUNCTION,
        BEFORE,
        AFTER,
        CHANGE,
        *interval(CHANGE, "low", "high"),
        NULL_CHANGE,
        *interval(NULL_CHANGE, "null_low", "null_high"),
    ),
)
HEAD_EMBEDDING = Table(
    paths.PLACES,
    "a head, placed on a plane by how alike heads attend (multidimensional scaling)",
    (
        *HEAD,
        Column("x", "float64", "coordinate on the first axis", "Jensen-Shannon distance"),
        Column("y", "float64", "coordinate on the second axis", "Jensen-Shannon distance"),
        Column("share_x", "float64", "share of the variance on the first axis", "", SHARE, missing=True),
        Column("share_y", "float64", "share of the variance on the second axis", "", SHARE, missing=True),
        replace(FUNCTION, name="label", meaning="first of the head's labels", missing=True),
    ),
)
EXAMPLE_PAIRS = Records(
    paths.SHOWCASE,
    "a dev pair whose attention maps are kept",
    {
        "query_id": "number of the query",
        "query": "text of the query",
        "title": "text of the title",
        "grade": "gold grade, 0 the worst",
        "tokens": "readable text of every token, [token]",
        "segment": "0 in the query, 1 in the title, -1 for special tokens, [token]",
    },
)
