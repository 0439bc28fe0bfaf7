"""Tables for the terminal: aligned columns, nothing invisible in them."""

from pipeline.reporting.tables import Table
from pipeline.reporting.text import visible, width

GUTTER = "  "


def plain(table: Table) -> str:
    """The caption, then the columns' names and the rows; "none" where there is no row."""
    if not table.rows:
        return f"{visible(table.caption)}: none"
    lines = [[visible(cell) for cell in row] for row in [table.columns, *table.rows]]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return "\n".join([f"{visible(table.caption)}:", *(_line(row, widths) for row in lines)])


def _line(row: list[str], widths: list[int]) -> str:
    """The first column from the left, the others from the right, as numbers stand."""
    padding = [" " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
    first, *others = zip(row, padding, strict=True)
    return GUTTER + GUTTER.join(["".join(first), *(pad + cell for cell, pad in others)]).rstrip()
