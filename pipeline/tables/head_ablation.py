"""What head_ablation writes: every head masked alone, and every head kept as its layer's only one."""

from pipeline.core import paths
from pipeline.core.schemas import POSITIVE, SHARE, Column, Table
from pipeline.tables.heads import HEAD
from pipeline.tables.measures import MEASURES, RELATIVE, relative_change


def _ablation_type(name: str, replacement: str) -> tuple[Column, Column]:
    meaning = f"with the head's output replaced by {replacement}, on `ablation.replaced_pairs` pairs"
    return (
        relative_change(f"{name}_change", f"relative accuracy change {meaning}"),
        Column(f"{name}_margin_change", "float64", f"change of `margin` {meaning}", "logits"),
    )


HEADS = Table(
    paths.HEADS,
    "a head masked alone, on test",
    (
        *HEAD,
        *MEASURES,
        Column("p", "float64", "p-value of the accuracy's change, sign flips per query", range=SHARE),
        Column("mcnemar_p", "float64", "exact McNemar p-value, as if pairs were independent", range=SHARE),
        Column("q", "float64", "`p` corrected over all heads (Benjamini-Hochberg)", range=SHARE),
        Column(
            "verdict",
            "str",
            "whether masking costs (needed) or helps (harmful) more than chance explains, q < 0.05",
            values=("needed", "harmful", "no detectable effect"),
        ),
        Column("metric", "str", "metric that `verdict` is about", values=("accuracy",)),
        Column(
            "detectable",
            "float64",
            "smallest relative accuracy change that this sample would find with 80% power",
            RELATIVE,
            POSITIVE,
            missing=True,
        ),
        *_ablation_type("zero", "zero"),
        *_ablation_type("mean", "its mean on dev"),
        *_ablation_type("resample", "its output on another pair"),
        Column("only_zero", "bool", "whether accuracy changes detectably under zero and under neither other"),
        Column(
            "gradient_importance",
            "float64",
            "mean size of the loss's gradient by the head's mask, on dev",
            "nats",
            POSITIVE,
        ),
    ),
)
KEPT_HEADS = Table(paths.ALONE, "a head kept as its layer's only one, on test", (*HEAD, *MEASURES))
