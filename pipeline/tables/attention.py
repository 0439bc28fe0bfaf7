"""What attention writes: what each head attends to, what it does, and what fine-tuning changed."""

from dataclasses import replace

from pipeline.core import paths
from pipeline.core.schemas import (
    CHANGE_OF_SHARE,
    HEAD,
    POSITIVE,
    SHARE,
    Arrays,
    Column,
    Records,
    Table,
    estimate,
    flag,
    integer,
    number,
    text,
)

FUNCTIONS = ("term_match", "segmentation", "previous_term", "next_term", "self", "cls", "sep", "cross_text", "entropy")
FUNCTION = text("function", "function scored, see docs/method.md", *FUNCTIONS)


def _score(name: str, meaning: str) -> Column:
    """Undefined where no pair defines the function."""
    return number(name, meaning, "", SHARE, missing=True)


SCORE = _score("score", "mean score over dev pairs: share of attention on targets")
BEFORE, AFTER = _score("before", "mean score before fine-tuning"), _score("after", "mean score after fine-tuning")
CHANGE = number("change", "score after minus before fine-tuning", "", CHANGE_OF_SHARE, missing=True)
SHUFFLED_GRADES = "`change` where the grades are shuffled, with `attention.drift_null`"
NULL_CHANGE = replace(CHANGE, name="null_change", meaning=SHUFFLED_GRADES, presence="optional")
P = number("p", "p-value of the change, sign flips per query", "", SHARE, missing=True)
Q = number("q", "`p` corrected over all rows (Benjamini-Hochberg)", "", SHARE, missing=True)
DIFFERENCE = number("difference", "score minus control", "", CHANGE_OF_SHARE, missing=True)
RELATIVE_WRITE = number(
    "relative_write",
    "norm-weighted attention on targets over attention on them: 1 as an average head of the layer, 0 idle",
    "",
    POSITIVE,
    missing=True,
)
WRITTEN_DIFFERENCE = number(
    "written_difference",
    "`difference` times `relative_write`, at most 1 of it, pair by pair; heads are ranked by its lower end",
    "",
    CHANGE_OF_SHARE,
    missing=True,
)

PROFILES = Table(
    paths.PROFILES,
    "a head, function and phase",
    (
        *HEAD,
        FUNCTION,
        text("phase", "before or after fine-tuning", "before", "after"),
        SCORE,
        _score("chance", "score of attention spread evenly"),
    ),
)
LABELS = Table(
    paths.LABELS,
    "a head and function, after fine-tuning",
    (
        *HEAD,
        FUNCTION,
        SCORE,
        _score("control", "score where the function has nothing to act on"),
        *estimate(DIFFERENCE),
        *estimate(RELATIVE_WRITE),
        *estimate(WRITTEN_DIFFERENCE),
        _score("shuffled", "score on shuffled words, of previous_term and next_term"),
        flag(
            "is_labelled",
            "the head has the function: `difference_low` exceeds `attention.label_threshold`, and it is not idle: "
            "`relative_write_low` exceeds 0.1",
        ),
        text("order_cue", "cue of a labelled previous_term or next_term head", "position", "content", missing=True),
    ),
)
ATTENTION_SHIFT = Table(
    paths.ATTENTION_SHIFT,
    "a head and function, fine-tuning's change paired by pair",
    (
        *HEAD,
        FUNCTION,
        BEFORE,
        AFTER,
        *estimate(CHANGE),
        P,
        Q,
        text("direction", "direction of the change where q < 0.05", "up", "down", missing=True),
    ),
)
ATTENTION_SHIFT_MEAN = Table(
    paths.ATTENTION_SHIFT_MEAN,
    "a function, fine-tuning's change averaged over heads",
    (FUNCTION, BEFORE, AFTER, *estimate(CHANGE), *estimate(NULL_CHANGE)),
)
TERM_MATCH_SHIFT = Table(
    paths.TERM_MATCH_SHIFT,
    "a term-match head and place attended to: heads labelled on half of the dev queries, changes on the other half",
    (
        *HEAD,
        integer("rank", "rank of the head on the labelling half, 1 the surest", low=1),
        text("function", "place attended to: the same term, itself, [CLS], [SEP]", "term_match", "self", "cls", "sep"),
        flag(
            "is_sink", "the place is the attention sink: [CLS] or [SEP], whichever text tokens attended to more before"
        ),
        _score(
            "before",
            "share of a matching term's attention before fine-tuning: of the tokens of terms that both texts hold",
        ),
        _score("after", "the same share after fine-tuning"),
        *estimate(CHANGE),
        P,
        Q,
        *estimate(NULL_CHANGE),
    ),
)
HEAD_EMBEDDING = Table(
    paths.HEAD_EMBEDDING,
    "a head, placed on a plane by how alike heads attend (multidimensional scaling)",
    (
        *HEAD,
        number("mds_1", "coordinate on the first axis", "Jensen-Shannon distance"),
        number("mds_2", "coordinate on the second axis", "Jensen-Shannon distance"),
        number("explained_1", "share of the variance on the first axis", "", SHARE, missing=True),
        number("explained_2", "share of the variance on the second axis", "", SHARE, missing=True),
        text("function", "first of the functions that the head is labelled with", *FUNCTIONS, missing=True),
    ),
)
EXAMPLE_PAIRS = Records(
    paths.EXAMPLE_PAIRS,
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
EXPLORER_PAIRS = Records(
    paths.EXPLORER_PAIRS,
    "a test pair whose attention maps are kept for the explorer, of all heads in levels of 0 to 15",
    {
        "row": "row of the pair in data/prepared/test.parquet, from 0",
        "tokens": "readable text of every token mapped, [token]",
        "segment": "0 in the query, 1 in the title, -1 for special tokens, [token]",
        "length": "tokens of the pair; the first of them are mapped where it is long",
    },
)
HEAD_DISTANCES = Arrays(
    paths.HEAD_DISTANCES,
    "how alike heads attend, after fine-tuning",
    {"distances": "mean Jensen-Shannon distance of two heads' attention rows, float64 [layer * head, layer * head]"},
)
