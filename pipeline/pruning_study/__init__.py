"""Study of pruning: what can go after recovery, over seeds, and what the smaller model costs to serve."""
