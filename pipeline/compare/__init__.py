"""Comparison of runs: what differs between two, what is stable over several."""
