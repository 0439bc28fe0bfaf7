"""What head_ablation writes: every head masked alone, and every head kept as its layer's only one."""

from pipeline.core import paths
from pipeline.core.schemas import HEAD, POSITIVE, SHARE, Column, Table, flag, number, text
from pipeline.tables.measures import MEASURES, RELATIVE, mask_logits, relative_change


def _ablation_type(name: str, replacement: str) -> tuple[Column, Column]:
    meaning = f"with the head's output replaced by {replacement}, on `ablation.mean_resample_pairs` pairs"
    return (
        relative_change(f"{name}_change", f"relative accuracy change {meaning}"),
        number(f"{name}_logit_margin_change", f"change of `logit_margin` {meaning}", "logits"),
    )


VERDICT = "whether masking costs (needed) or gains (harmful) accuracy beyond chance, q < 0.05"
DETECTABLE = "smallest relative accuracy change that this sample would find with 80% power"
LOGITS = mask_logits(paths.HEAD_LOGITS, "head of heads.csv")
HEADS = Table(
    paths.HEADS,
    "a head masked alone, on test",
    (
        *HEAD,
        *MEASURES,
        number("p", "p-value of the accuracy's change, sign flips per query", range=SHARE),
        number("mcnemar_p", "exact McNemar p-value, as if pairs were independent", range=SHARE),
        number("q", "`p` corrected over all heads (Benjamini-Hochberg)", range=SHARE),
        text("verdict", VERDICT, "needed", "harmful", "no detectable effect"),
        number("min_detectable_change", DETECTABLE, RELATIVE, POSITIVE, missing=True),
        *_ablation_type("zero", "zero"),
        *_ablation_type("mean", "its mean on dev"),
        *_ablation_type("resample", "its output on another pair"),
        flag("zero_ablation_only", "accuracy changes detectably under zero and under neither other"),
        number("gradient_importance", "mean size of the loss's gradient by the head's mask, on dev", "nats", POSITIVE),
    ),
)
KEPT_HEADS = Table(paths.KEPT_HEADS, "a head kept as its layer's only one, on test", (*HEAD, *MEASURES))
