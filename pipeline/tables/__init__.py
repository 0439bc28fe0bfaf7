"""Schemas of all tables that stages write, a module per producing stage; see docs/tables.md.

A stage that reads a table imports the module of the stage that writes it, and so runs again where its columns change.
"""
