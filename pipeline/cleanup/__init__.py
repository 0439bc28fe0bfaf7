"""Removal of old MLflow runs, their models and files."""
