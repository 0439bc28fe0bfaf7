"""Attention analysis: maps, scores of functions against controls, labels, similarity."""
