"""Metrics and statistical inference: arrays in, numbers out. Nothing here knows what is measured."""
