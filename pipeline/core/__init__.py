"""Foundations of all other packages: params, paths, file formats, table schemas, processes."""
