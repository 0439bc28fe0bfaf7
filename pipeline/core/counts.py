"""Counts of things as texts: "1 head", "2 heads", "2 queries"."""


def counted(count: int, thing: str, things: str = "") -> str:
    """The number and what is counted.

    Args:
        things: the plural, where it is not `thing` with an s.
    """
    return f"{count} {thing if count == 1 else things or f'{thing}s'}"
