"""Params, paths, file formats, table schemas, the process: what every other package stands on."""
