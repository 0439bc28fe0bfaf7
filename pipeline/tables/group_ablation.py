"""What group_ablation writes: effects of masked groups, comparisons with random groups, contrasts, subgroups."""

from pipeline.core import paths
from pipeline.core.schemas import GRADE, SHARE, Table, estimate, flag, integer, number, text
from pipeline.stats.metrics import RELATIVE_ACCURACY_CHANGE
from pipeline.tables.measures import ACCURACY, MEASURES, RELATIVE, change, mask_logits, relative_change

RANDOM = ("random_share", "random_k", "layer_matched")
CHOSEN = ("unmasked", "layer", "half", "function", "lower_except", "top_k", "removal", "user")
CHANGE = relative_change(RELATIVE_ACCURACY_CHANGE, "masked / unmasked accuracy - 1 of the group")
CONTRAST = "mean or median over random groups, or difference of two groups' changes"

LOGITS = mask_logits(paths.GROUP_LOGITS, "group of groups.csv but the first")
GROUPS = Table(
    paths.GROUPS,
    "a group of heads masked together, on test; the first masks none",
    (
        text("group_type", "how the group was chosen", *CHOSEN, *RANDOM),
        text("group", "name of the group among those of its type"),
        integer("replicate", "number of a random group among those of its name, from 0; else 0"),
        integer("k", "best heads masked, of top_k", "heads", missing=True),
        integer("heads_masked", "size of the group", "heads"),
        text("members", 'the heads as "layer.head", from 0', missing=True),
        *MEASURES,
        integer(f"predicted_{GRADE}", "pairs predicted as the grade", "pairs"),
    ),
)
CONTROLS = Table(
    paths.CONTROLS,
    "a functional group compared with random groups of as many heads",
    (
        text("group", "functional group"),
        text("null_type", "as many heads in each layer as the group, or anywhere", "layer_matched", "unrestricted"),
        integer("random_groups", "random groups compared with", "groups"),
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
        text("name", "what is averaged (group type, then group), or the difference's name"),
        integer("random_groups", "random groups averaged, 1 of a difference", "groups"),
        *estimate(number(RELATIVE_ACCURACY_CHANGE, CONTRAST, RELATIVE, missing=True)),  # a difference has no bound
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
        *change("logit_margin", "logits"),
        *change("mae", "grades"),
    ),
)
