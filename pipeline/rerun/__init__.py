"""The pipeline on a schedule: pull, dvc repro, compare with the run before, one exit code."""
