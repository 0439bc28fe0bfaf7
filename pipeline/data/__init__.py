"""Graded pairs: a user's table or the synthetic corpus, deduplicated and split by query."""
