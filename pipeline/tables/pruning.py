"""What pruning writes: sizes tried, controls of the chosen set, pairs whose prediction changes, the decision."""

from pipeline.core import paths
from pipeline.core.schemas import Records, Table, flag, integer, number, text

DECISIONS = REMOVE, KEEP, PROTECTED, UNCERTAIN = "remove", "keep", "protected", "uncertain"
WHOLE = ("all", "all")  # slice and value of the undivided pairs
PLACE = (
    text("slice", "column that the split is divided by, `all` for no division"),
    text("value", "its value on this part, `all` for no division"),
)
SIZE = (
    integer("heads_removed", "heads that are gone", "heads"),
    integer("blocks_removed", "blocks of feed-forward neurons that are gone", "blocks"),
)
LADDER = Table(
    paths.LADDER,
    "a size on a part of the test split, up to the first size that fails",
    (
        integer("rung", "number of the size, from 0"),
        *SIZE,
        number("parameters_removed", "share of all heads' and neurons' parameters that is gone", "", (0, 1)),
        number(
            "divergence", "largest divergence of any part of dev from the unmasked predictions", "nats", missing=True
        ),
        *PLACE,
        integer("queries", "queries of the part", "queries"),
        number("change", "change of `pruning.measure`, a difference", missing=True),
        number("worst", "97.5% end of the change's interval, on the worse side", missing=True),
        number("margin", "that the change may be worse by"),
        flag("passed", "the worst end lies within the margin"),
    ),
)
PRUNING_CONTROLS = Table(
    paths.PRUNING_CONTROLS,
    "the chosen set (the smallest tried where nothing can go), or one of its size, against the whole model",
    (
        text(
            "chosen_by",
            "how the set was chosen; after recovery `not_recovered` is the chosen set without it, and `whole` recovery "
            "with nothing gone, both against the model as it was",
            *("search", "random", "layer_matched", "magnitude", "not_recovered", "whole"),
        ),
        integer("replicate", "number of a random set, from 0; else 0"),
        *SIZE,
        integer("pairs", "test pairs that it is compared on", "pairs"),
        number("change", "change of `pruning.measure`, a difference", missing=True),
        number("divergence", "divergence from the unmasked predictions", "nats", missing=True),
    ),
)
CHANGED_PAIRS = Table(
    paths.CHANGED_PAIRS,
    "a test pair that the smaller model grades, or ranks among its query's titles, otherwise",
    (
        integer("query_id", "number of the query"),
        text("query", "text of the query"),
        text("title", "text of the title"),
        number("grade", "gold grade, as in the test split"),
        number("before", "grade of the whole model, or rank by its score"),
        number("after", "grade of the smaller model, or rank by its score"),
    ),
)
DECISION = Records(
    paths.DECISION,
    "a head's decision",
    {
        "layer": "from 0",
        "head": "number in its layer, from 0",
        "decision": "remove, keep, protected or uncertain",
        "reason": "why",
        "frequency": "share of the searches (`pruning.seeds`) in which it goes at the decision's size",
    },
)
