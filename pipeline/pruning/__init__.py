"""Which heads and feed-forward neurons can go: search, decision, and the smaller model."""
