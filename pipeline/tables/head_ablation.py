"""What head_ablation writes: every head masked alone, and every head kept as its layer's only one."""

from pipeline.core import paths
from pipeline.core.schemas import GRADE, HEAD, POSITIVE, Column, Table, estimate, flag, integer, number, text
from pipeline.stats.measure_sets import GRADER, KINDS, MeasureSet
from pipeline.tables.measures import effect_columns, mask_logits, scales, tested_columns

VERDICTS = ("needed", "harmful", "small", "no effect", "undecided")


def _ablation_type(name: str, replacement: str) -> tuple[Column, Column]:
    meaning = f"with the head's output replaced by {replacement}, on `head_ablation.mean_resample_pairs` pairs"
    return (
        number(
            f"{name}_to_constant", f"change of `ablation.primary_measure`, share of the way, {meaning}", missing=True
        ),
        number(f"{name}_kl_divergence", f"`kl_divergence` {meaning}", "nats", POSITIVE),
    )


VERDICT = (
    "by `ablation.primary_measure`: needed or harmful (q < 0.05 and the whole interval beyond the size that "
    "matters{}), small (q < 0.05, the whole interval within it), no effect (the whole interval within it), else "
    "undecided"
)
MEASURED_BY_QUERY = "; by a measure of queries also 20 queries that change by more than it"
DETECTABLE = "smallest change, share of the way, that this sample would declare needed or harmful with 80% power"
LOGITS = mask_logits(paths.HEAD_LOGITS, "head of heads.csv")
SCALES = scales(paths.HEAD_SCALES, "the pairs of heads.csv")
LOGIT_SHIFT = number(f"logit_shift_{GRADE}", "mean change of the grade's logit against the mean over grades", "logits")


def _heads(measures: MeasureSet) -> Table:
    columns = (
        *HEAD,
        text("verdict", VERDICT.format("" if measures is GRADER else MEASURED_BY_QUERY), *VERDICTS),
        integer("rank", f"rank by `{measures.rank_by.name}`, 1 changes the predictions most", low=1),
        flag("is_inert", "predictions surely change less than matters: every measure without grades, whole interval"),
        *effect_columns(measures),
        number("detectable_to_constant", DETECTABLE, "", POSITIVE, missing=True),
        *((LOGIT_SHIFT,) if measures is GRADER else ()),
        *_ablation_type("zero", "zero"),
        *_ablation_type("mean", "its mean on dev"),
        *_ablation_type("resample", "its output on another pair"),
        flag("zero_ablation_only", "the primary measure changes (q < 0.05) under zero and under neither other"),
        number("gradient_importance", "mean size of the loss's gradient by the head's mask, on dev", "nats", POSITIVE),
    )
    return Table(paths.HEADS, f"a head masked alone, on test (a {measures.kind}'s)", columns)


def _unlabelled(measures: MeasureSet) -> Table:
    columns = (*HEAD, flag("is_inert", "as in heads.csv, on these pairs"), *tested_columns(measures.label_free))
    return Table(paths.UNLABELLED_HEADS, f"a head masked alone, on `data.unlabelled` (a {measures.kind}'s)", columns)


HEADS = {measures.kind: _heads(measures) for measures in KINDS}
KEPT_HEADS = {
    measures.kind: Table(
        paths.KEPT_HEADS,
        f"a head kept as its layer's only one, on test (a {measures.kind}'s)",
        (*HEAD, *effect_columns(measures)),
    )
    for measures in KINDS
}
HEAD_SLICES = Table(
    paths.HEAD_SLICES,
    "a head masked alone, on a part of the test split",
    (
        *HEAD,
        text("slice", "column that the split is divided by"),
        text("value", "its value on this part"),
        integer("pairs", "pairs of the part", "pairs"),
        integer("queries", "queries of the part", "queries"),
        text("measure", "the measure, `ablation.primary_measure`"),
        *estimate(
            number(
                "change",
                "change of the measure on the part, in its unit; the interval is simultaneous over the table",
                missing=True,
            )
        ),
        number("to_constant", "`change` as a share of the way on the whole sample; above 0 is worse", missing=True),
        flag("is_sure", "the simultaneous interval leaves out 0"),
    ),
)
UNLABELLED_HEADS = {measures.kind: _unlabelled(measures) for measures in KINDS}
