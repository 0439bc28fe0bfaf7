"""The ablation engine: groups of heads, exact evaluation of their masks, mean and resample ablation, patching."""
