"""Tables of the benchmark's page."""

import pandas as pd


def table(frame: pd.DataFrame) -> str:
    """A Markdown table, numbers to three significant digits."""
    cells = frame.map(lambda value: f"{value:.3g}" if isinstance(value, float) else str(value))
    lines = [list(frame.columns), ["---"] * frame.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
