"""The ablation engine: which heads are masked, exact evaluation of the masks, what takes a head's place."""
