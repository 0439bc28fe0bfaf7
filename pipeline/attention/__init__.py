"""What heads attend to: maps, scores of functions against controls, labels, similarity."""
