"""Comparison of runs: differences between two, stability over several."""
