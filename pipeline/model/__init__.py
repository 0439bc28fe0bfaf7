"""What runs: checkpoints, encoding and batching, heads and masks, the ablation engine."""
