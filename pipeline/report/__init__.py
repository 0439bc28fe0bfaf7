"""The report: figures, tables and the page."""
