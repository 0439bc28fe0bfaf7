"""What group_ablation writes: heads masked in groups, beside random groups, brought together, and on subgroups."""

from dataclasses import replace

from pipeline.core import paths
from pipeline.core.schemas import ANY, GRADE, POSITIVE, SHARE, Column, Table, interval
from pipeline.stats.metrics import RELATIVE_ACCURACY_CHANGE
from pipeline.tables.measures import ACCURACY, MEASURES, measure_change, relative_change

CHANGE = relative_change(RELATIVE_ACCURACY_CHANGE, "masked / unmasked accuracy - 1 of the group")
# A difference of two relative changes has no bound.
CONTRAST = replace(CHANGE, meaning="mean or median over random groups, or difference of two groups' changes", range=ANY)

GROUPS = Table(
    paths.GROUPS,
    "a group of heads masked together, on test; the first masks none",
    (
        Column(
            "experiment",
            "str",
            "how the group was chosen",
            values=(
                "baseline",
                "random_share",
                "layer",
                "half",
                "function",
                "lower_except",
                "top_k",
                "random_k",
                "layer_matched",
                "removal",
                "user",
            ),
        ),
        Column("group", "str", "name of the group in its experiment"),
        Column(
            "draw", "int64", "number of a random draw, k of top_k, number of a removal's share, else 0", range=POSITIVE
        ),
        Column("heads_masked", "int64", "size of the group", "heads", POSITIVE),
        Column("members", "str", 'the heads as "layer.head", from 0', missing=True),
        *MEASURES,
        Column(f"predicted_{GRADE}", "int64", "pairs predicted as the grade", "pairs", POSITIVE),
    ),
)
CONTROLS = Table(
    paths.CONTROLS,
    "a functional group beside random groups of as many heads",
    (
        Column("group", "str", "functional group"),
        Column(
            "control",
            "str",
            "random groups with as many heads in each layer as the group, or anywhere",
            values=("layer_matched", "unrestricted"),
        ),
        Column("draws", "int64", "random groups", "groups", POSITIVE),
        CHANGE,
        relative_change("median", "median change of the random groups"),
        relative_change("lowest", "lowest change of the random groups"),
        relative_change("highest", "highest change of the random groups"),
        Column("percentile", "float64", "position of the group's change among theirs, 0 below all", range=SHARE),
        Column("p", "float64", "(1 + random groups that lose as much) / (1 + random groups)", range=SHARE),
        Column("overlap", "float64", "share of the group's heads that a random group holds, mean", range=SHARE),
        Column("exhaustive", "bool", "whether the random groups are all that exist"),
    ),
)
CONTRASTS = Table(
    paths.CONTRASTS,
    "an average over random groups, or a difference of two groups",
    (
        Column("name", "str", "what is averaged (experiment, then group), or the difference's name"),
        Column("draws", "int64", "random groups averaged, 1 of a difference", "groups", POSITIVE),
        CONTRAST,
        *interval(CONTRAST, "low", "high"),
    ),
)
SLICES = Table(
    paths.SLICES,
    "a functional or user's group on a part of the test split",
    (
        Column("group", "str", "name of the group"),
        Column("slice", "str", "column that the split is divided by"),
        Column("value", "str", "its value on this part"),
        Column("pairs", "int64", "pairs of the part", "pairs", POSITIVE),
        Column("queries", "int64", "queries of the part", "queries", POSITIVE),
        *ACCURACY,
        *measure_change("margin", "logits"),
        *measure_change("mae", "grades"),
    ),
)
