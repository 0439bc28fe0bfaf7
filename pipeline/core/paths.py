"""Every artifact's path, once. All are relative to the project's root, where every command runs."""

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
REJECTED = PREPARED / "rejected.csv"
PREPARE_METRICS = Path("reports/prepare/metrics.json")

# finetune
MODEL = Path("data/model")
PREDICTIONS = Path("data/predictions")
FINETUNE_METRICS = Path("reports/finetune/metrics.json")
CURVE = Path("reports/finetune/curve.csv")

# baseline
BASELINE_PREDICTIONS = PREDICTIONS / "baseline_test.parquet"
BASELINE_METRICS = Path("reports/baseline/metrics.json")

# attention
MAPS = Path("data/attention/maps.safetensors")
SHOWCASE = Path("data/attention/showcase.json")
PROFILES = Path("reports/attention/profiles.csv")
LABELS = Path("reports/attention/labels.csv")
MOVES = Path("reports/attention/moves.csv")
PLACES = Path("reports/attention/places.csv")
MEAN_MOVES = Path("reports/attention/mean_moves.csv")
ATTENTION_METRICS = Path("reports/attention/metrics.json")

# head_ablation
HEAD_LOGITS = Path("data/ablation/heads.safetensors")
HEAD_ROWS = Path("data/ablation/head_rows.safetensors")
HEADS = Path("reports/head_ablation/heads.csv")
ALONE = Path("reports/head_ablation/alone.csv")
HEAD_METRICS = Path("reports/head_ablation/metrics.json")

# group_ablation
GROUP_LOGITS = Path("data/ablation/groups.safetensors")
GROUP_ROWS = Path("data/ablation/group_rows.safetensors")
GROUPS = Path("reports/group_ablation/groups.csv")
CONTROLS = Path("reports/group_ablation/controls.csv")
CONTRASTS = Path("reports/group_ablation/contrasts.csv")
SLICES = Path("reports/group_ablation/slices.csv")
GROUP_METRICS = Path("reports/group_ablation/metrics.json")

# dependency
SHOWN = Path("data/dependency/shown.json")
EDGES = Path("reports/dependency/edges.csv")
GROUP_EDGES = Path("reports/dependency/group.csv")
READERS = Path("reports/dependency/readers.csv")
DEPENDENCY_METRICS = Path("reports/dependency/metrics.json")

# report
REPORT = Path("reports/report.html")
FIGURES = Path("reports/figures")
FINDINGS = Path("reports/findings.json")

# rerun
RERUN = Path("reports/rerun.md")

# Outside the stages' outputs: word segmentation's cache, the tracking spool.
CACHE = Path(".cache")
SWEEPS = CACHE / "sweeps"  # finished chunks of an ablation that is not done

# Tracking, all below the root that DVC reports: the database, its artifacts, and what is not written yet.
DATABASE = Path("mlflow.db")
RUN_ARTIFACTS = Path("mlartifacts")
TRACKING = Path(".tracking")
