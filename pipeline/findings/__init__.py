"""Verdicts on the article's findings in this run."""
