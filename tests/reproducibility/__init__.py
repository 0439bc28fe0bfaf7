"""Whether the pipeline gives the same bytes again: `python -m tests.reproducibility`."""
