"""Paths of all artifacts, relative to the project's root, where every command runs."""

from pathlib import Path

PARAMS = Path("params.yaml")
DVC_YAML = Path("dvc.yaml")
DVC_LOCK = Path("dvc.lock")

# What the user brings.
RAW = Path("data/raw")
CHECKPOINTS = Path("data/checkpoints")

# prepare
PREPARED = Path("data/prepared")
TRAIN = PREPARED / "train.parquet"
DEV = PREPARED / "dev.parquet"
TEST = PREPARED / "test.parquet"
UNLABELLED = PREPARED / "unlabelled.parquet"
REJECTED = PREPARED / "rejected.csv"

# finetune
MODEL = Path("data/model")
TEST_PREDICTIONS = Path("data/predictions/test.parquet")
CURVE = Path("reports/finetune/curve.csv")

# bilstm
BILSTM_PREDICTIONS = Path("data/predictions/bilstm_test.parquet")
BILSTM_CURVE = Path("reports/bilstm/curve.csv")

# attention
MAPS = Path("data/attention/maps.safetensors")
EXAMPLE_PAIRS = Path("data/attention/example_pairs.json")
EXPLORER_MAPS = Path("data/attention/explorer_maps.safetensors")
EXPLORER_PAIRS = Path("data/attention/explorer_pairs.json")
HEAD_DISTANCES = Path("data/attention/head_distances.safetensors")
PROFILES = Path("reports/attention/profiles.csv")
LABELS = Path("reports/attention/labels.csv")
ATTENTION_SHIFT = Path("reports/attention/attention_shift.csv")
HEAD_EMBEDDING = Path("reports/attention/head_embedding.csv")
ATTENTION_SHIFT_MEAN = Path("reports/attention/attention_shift_mean.csv")
TERM_MATCH_SHIFT = Path("reports/attention/term_match_shift.csv")

# head_ablation
HEAD_LOGITS = Path("data/ablation/heads.safetensors")
HEAD_ROWS = Path("data/ablation/head_rows.safetensors")
HEADS = Path("reports/head_ablation/heads.csv")
KEPT_HEADS = Path("reports/head_ablation/kept_heads.csv")
HEAD_SCALES = Path("reports/head_ablation/measures.csv")
HEAD_SLICES = Path("reports/head_ablation/head_slices.csv")
UNLABELLED_HEADS = Path("reports/head_ablation/unlabelled_heads.csv")

# group_ablation
GROUP_LOGITS = Path("data/ablation/groups.safetensors")
GROUP_ROWS = Path("data/ablation/group_rows.safetensors")
GROUPS = Path("reports/group_ablation/groups.csv")
CONTROLS = Path("reports/group_ablation/controls.csv")
CONTRASTS = Path("reports/group_ablation/contrasts.csv")
SLICES = Path("reports/group_ablation/slices.csv")
GROUP_SCALES = Path("reports/group_ablation/measures.csv")

# dependency
EXAMPLE_CLS_ATTENTION = Path("data/dependency/example_cls_attention.json")
EDGES = Path("reports/dependency/edges.csv")
EDGES_TERM_MATCH = Path("reports/dependency/edges_term_match.csv")
MEDIATION = Path("reports/dependency/mediation.csv")
JOINT_MEDIATION = Path("reports/dependency/joint_mediation.csv")

# pruning
PRUNED_MODEL = Path("data/pruned/small")  # smaller matrices
DROP_IN_MODEL = Path(
    "data/pruned/drop_in"
)  # of full shape, 0 where something is gone: it loads wherever data/model does
LADDER = Path("reports/pruning/ladder.csv")
PRUNING_CONTROLS = Path("reports/pruning/controls.csv")
CHANGED_PAIRS = Path("reports/pruning/changed_pairs.csv")
DECISION = Path("reports/pruning/decision.json")

# make pruning-study
PRUNING_STUDY = Path("docs/pruning_study.json")

# report
REPORT = Path("reports/report.html")
EXPLORER = Path("reports/explorer.html")
EXPLORER_DATA = Path("reports/explorer.json")
FIGURES = Path("reports/figures")
FINDINGS = Path("reports/findings.json")
HEADLINE = Path("reports/headline.json")

# rerun
RERUN = Path("reports/rerun.md")

# Outside the stages' outputs: word segmentation's cache, the tracking spool.
CACHE = Path(".cache")
SWEEPS = CACHE / "sweeps"  # finished chunks of an ablation that is not done

# Tracking, all below the root that DVC reports: the database, its artifacts, and what is not written yet.
DATABASE = Path("mlflow.db")
RUN_ARTIFACTS = Path("mlartifacts")
TRACKING = Path(".tracking")


def stage_metrics(stage: str) -> Path:
    """The numbers that a stage measured."""
    return Path(f"reports/{stage}/metrics.json")
