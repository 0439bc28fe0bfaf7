"""What group_ablation writes: effects of masked groups, comparisons with random groups, contrasts, subgroups."""

from pipeline.core import paths
from pipeline.core.schemas import GRADE, SHARE, Column, Table, estimate, flag, integer, number, text
from pipeline.stats.measure_sets import GRADER, KINDS, MeasureSet
from pipeline.tables.measures import effect_columns, mask_logits, scales

RANDOM = ("random_share", "random_k", "layer_matched")
CHOSEN = ("unmasked", "layer", "half", "function", "lower_except", "top_k", "removal", "user")
MEASURE = text("measure", "the measure that changes")
CONTRAST = "mean or median over random groups, or difference of two groups' changes"
IN_ITS_UNIT = "in the unit of the measure's changes"


def _change(name: str, meaning: str) -> Column:
    return number(name, f"{meaning}, {IN_ITS_UNIT}", missing=True)


TO_CONSTANT = number(
    "to_constant", "`change` as a share of the way to the constant model; above 0 is worse", missing=True
)

LOGITS = mask_logits(paths.GROUP_LOGITS, "group of groups.csv but the first")
PREDICTED = integer(f"predicted_{GRADE}", "pairs predicted as the grade", "pairs")


def _groups(measures: MeasureSet) -> Table:
    columns = (
        text("group_type", "how the group was chosen", *CHOSEN, *RANDOM),
        text("group", "name of the group among those of its type"),
        integer("replicate", "number of a random group among those of its name, from 0; else 0"),
        integer("k", "best heads masked, of top_k", "heads", missing=True),
        integer("heads_masked", "size of the group", "heads"),
        text("members", 'the heads as "layer.head", from 0', missing=True),
        *effect_columns(measures),
        *((PREDICTED,) if measures is GRADER else ()),
    )
    title = f"a group of heads masked together, on test; the first masks none (a {measures.kind}'s)"
    return Table(paths.GROUPS, title, columns)


GROUPS = {measures.kind: _groups(measures) for measures in KINDS}
SCALES = scales(paths.GROUP_SCALES, "the pairs of groups.csv")
CONTROLS = Table(
    paths.CONTROLS,
    "a functional group compared with random groups of as many heads, on a part of the test split, by a measure",
    (
        text("group", "functional group"),
        text("null_type", "as many heads in each layer as the group, or anywhere", "layer_matched", "unrestricted"),
        text("slice", "column that the split is divided by, `all` for no division"),
        text("value", "its value on this part, `all` for no division"),
        flag("without_strongest", "random groups that hold another function's strongest heads are left out"),
        MEASURE,
        integer("random_groups", "random groups compared with", "groups"),
        _change("change", "change of the group"),
        TO_CONSTANT,
        _change("median", "median change of the random groups"),
        _change("lowest", "lowest change of the random groups"),
        _change("highest", "highest change of the random groups"),
        number("percentile", "position of the group's change among theirs, 0 worse than all", range=SHARE),
        number("p", "(1 + random groups that are as bad or worse) / (1 + random groups)", range=SHARE),
        number("overlap", "share of the group's heads that a random group holds, mean", range=SHARE),
        flag("exhaustive", "the random groups are all that exist"),
    ),
)
CONTRASTS = Table(
    paths.CONTRASTS,
    "an average over random groups, or a difference of two groups, by a measure",
    (
        text("name", "what is averaged (group type, then group), or the difference's name"),
        MEASURE,
        integer("random_groups", "random groups averaged, 1 of a difference", "groups"),
        *estimate(_change("change", CONTRAST)),
        TO_CONSTANT,
    ),
)
SLICES = Table(
    paths.SLICES,
    "a functional or user's group on a part of the test split, by a measure",
    (
        text("group_type", "how the group was chosen", "function", "user"),
        text("group", "name of the group"),
        text("slice", "column that the split is divided by"),
        text("value", "its value on this part"),
        integer("pairs", "pairs of the part", "pairs"),
        integer("queries", "queries of the part", "queries"),
        MEASURE,
        *estimate(_change("change", "change on the part")),
        number("to_constant", "`change` as a share of the way on the whole sample; above 0 is worse", missing=True),
    ),
)
