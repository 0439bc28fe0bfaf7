"""Names that runs are compared by: metrics behind one prefix a stage, and the findings' ids.

In the file of its stage a metric has its plain name. MLflow groups its charts by the part before the slash.
"""

from collections.abc import Mapping
from typing import Any

Numbers = dict[str, float | int | None]

METRIC_PREFIXES = {
    "prepare": "data",
    "finetune": "grading",
    "bilstm": "bilstm",
    "attention": "attention",
    "head_ablation": "heads",
    "group_ablation": "groups",
    "dependency": "mediation",
    "pruning": "pruning",
    "report": "headline",
}
# How good a model is, by its kind, as finetune measures it: by what limits judge, and by another measure.
MODEL_METRICS = {"grader": ("test_accuracy", "test_qwk"), "ranker": ("test_ndcg_at_10", "test_mrr_at_10")}
# The same of what it is compared with, as the headline names it.
PEER_METRICS = {
    "grader": ("bilstm_test_accuracy",),
    "ranker": ("bilstm_test_ndcg_at_10", "bm25_test_ndcg_at_10"),
}
QUALITY = {
    kind: [f"headline/{name}" for name in (*metrics, *PEER_METRICS[kind])] for kind, metrics in MODEL_METRICS.items()
}
NEEDED_HEADS = "headline/needed_heads"
# The article's findings, in its order; `pipeline.findings.article` says what each claims.
FINDING_IDS = ("R0", "R1", "R2", "F1", "F2", "F3", "T1", "S1", "S2", "D1", "D1-direction")


def metric_name(stage: str | None, name: str) -> str:
    """A stage's metric as runs are compared by it, "heads/needed"; None: the name is complete."""
    return f"{METRIC_PREFIXES[stage]}/{name}" if stage in METRIC_PREFIXES else name


def run_metrics(stages: Mapping[str, Mapping[str, Any]]) -> Numbers:
    """The numbers of the stages' metrics files, stage -> content, under the names that runs are compared by."""
    return {
        metric_name(stage, name): value
        for stage, values in stages.items()
        for name, value in values.items()
        if isinstance(value, int | float) or value is None
    }
