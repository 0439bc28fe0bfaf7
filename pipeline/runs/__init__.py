"""Runs of the pipeline as wholes: what each came to, wherever its files are kept."""
