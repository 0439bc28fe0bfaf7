"""What group_ablation writes: heads masked in groups, beside random groups, brought together, and on subgroups."""

from dataclasses import replace

from pipeline.core import paths
from pipeline.core.schemas import ANY, GRADE, SHARE, Table, flag, integer, interval, number, text
from pipeline.stats.metrics import RELATIVE_ACCURACY_CHANGE
from pipeline.tables.measures import ACCURACY, MEASURES, change, relative_change

RANDOM = ("random_share", "random_k", "layer_matched")
CHOSEN = ("baseline", "layer", "half", "function", "lower_except", "top_k", "removal", "user")
CHANGE = relative_change(RELATIVE_ACCURACY_CHANGE, "masked / unmasked accuracy - 1 of the group")
# A difference of two relative changes has no bound.
CONTRAST = replace(CHANGE, meaning="mean or median over random groups, or difference of two groups' changes", range=ANY)

GROUPS = Table(
    paths.GROUPS,
    "a group of heads masked together, on test; the first masks none",
    (
        text("experiment", "how the group was chosen", *CHOSEN, *RANDOM),
        text("group", "name of the group in its experiment"),
        integer("draw", "number of a random draw, k of top_k, number of a removal's share, else 0"),
        integer("heads_masked", "size of the group", "heads"),
        text("members", 'the heads as "layer.head", from 0', missing=True),
        *MEASURES,
        integer(f"predicted_{GRADE}", "pairs predicted as the grade", "pairs"),
    ),
)
CONTROLS = Table(
    paths.CONTROLS,
    "a functional group beside random groups of as many heads",
    (
        text("group", "functional group"),
        text("control", "as many heads in each layer as the group, or anywhere", "layer_matched", "unrestricted"),
        integer("draws", "random groups", "groups"),
        CHANGE,
        relative_change("median", "median change of the random groups"),
        relative_change("lowest", "lowest change of the random groups"),
        relative_change("highest", "highest change of the random groups"),
        number("percentile", "position of the group's change among theirs, 0 below all", range=SHARE),
        number("p", "(1 + random groups that lose as much) / (1 + random groups)", range=SHARE),
        number("overlap", "share of the group's heads that a random group holds, mean", range=SHARE),
        flag("exhaustive", "the random groups are all that exist"),
    ),
)
CONTRASTS = Table(
    paths.CONTRASTS,
    "an average over random groups, or a difference of two groups",
    (
        text("name", "what is averaged (experiment, then group), or the difference's name"),
        integer("draws", "random groups averaged, 1 of a difference", "groups"),
        CONTRAST,
        *interval(CONTRAST, "low", "high"),
    ),
)
SLICES = Table(
    paths.SLICES,
    "a functional or user's group on a part of the test split",
    (
        text("group", "name of the group"),
        text("slice", "column that the split is divided by"),
        text("value", "its value on this part"),
        integer("pairs", "pairs of the part", "pairs"),
        integer("queries", "queries of the part", "queries"),
        *ACCURACY,
        *change("margin", "logits"),
        *change("mae", "grades"),
    ),
)
