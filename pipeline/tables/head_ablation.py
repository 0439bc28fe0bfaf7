"""What head_ablation writes: every head masked alone, and every head kept as its layer's only one."""

from pipeline.core import paths
from pipeline.core.schemas import GRADE, HEAD, POSITIVE, Column, Table, estimate, flag, integer, number, text
from pipeline.stats.measures import KL_DIVERGENCE, LABEL_FREE
from pipeline.tables.measures import EFFECTS, mask_logits, measure_columns, scale_column, scales, test_columns

VERDICTS = ("needed", "harmful", "small", "no effect", "undecided")


def _ablation_type(name: str, replacement: str) -> tuple[Column, Column]:
    meaning = f"with the head's output replaced by {replacement}, on `head_ablation.mean_resample_pairs` pairs"
    return (
        number(
            f"{name}_to_constant", f"change of `ablation.primary_measure`, share of the way, {meaning}", missing=True
        ),
        number(f"{name}_{KL_DIVERGENCE.name}", f"`{KL_DIVERGENCE.name}` {meaning}", "nats", POSITIVE),
    )


VERDICT = (
    "by `ablation.primary_measure`: needed or harmful (q < 0.05 and the whole interval beyond the size that matters), "
    "small (q < 0.05, the whole interval within it), no effect (the whole interval within it), else undecided"
)
DETECTABLE = "smallest change, share of the way, that this sample would declare needed or harmful with 80% power"
LOGITS = mask_logits(paths.HEAD_LOGITS, "head of heads.csv")
SCALES = scales(paths.HEAD_SCALES, "the pairs of heads.csv")
HEADS = Table(
    paths.HEADS,
    "a head masked alone, on test",
    (
        *HEAD,
        text("verdict", VERDICT, *VERDICTS),
        integer("rank", f"rank by `{KL_DIVERGENCE.name}`, 1 changes the predictions most", low=1),
        flag("is_inert", "predictions surely change less than matters: every measure without grades, whole interval"),
        *EFFECTS,
        number("detectable_to_constant", DETECTABLE, "", POSITIVE, missing=True),
        number(f"logit_shift_{GRADE}", "mean change of the grade's logit against the mean over grades", "logits"),
        *_ablation_type("zero", "zero"),
        *_ablation_type("mean", "its mean on dev"),
        *_ablation_type("resample", "its output on another pair"),
        flag("zero_ablation_only", "the primary measure changes (q < 0.05) under zero and under neither other"),
        number("gradient_importance", "mean size of the loss's gradient by the head's mask, on dev", "nats", POSITIVE),
    ),
)
KEPT_HEADS = Table(paths.KEPT_HEADS, "a head kept as its layer's only one, on test", (*HEAD, *EFFECTS))
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
UNLABELLED_HEADS = Table(
    paths.UNLABELLED_HEADS,
    "a head masked alone, on `data.unlabelled`",
    (
        *HEAD,
        flag("is_inert", "as in heads.csv, on these pairs"),
        *(
            column
            for measure in LABEL_FREE
            for column in (*measure_columns(measure), scale_column(measure), *test_columns(measure))
        ),
    ),
)
