"""The columns that name a head, in every table of heads."""

from pipeline.core.schemas import Column, integer


def head_columns(prefix: str, role: str) -> tuple[Column, Column]:
    """The columns <prefix>layer and <prefix>head of the head in a role."""
    return (
        integer(f"{prefix}layer", f"layer of {role}, from 0"),
        integer(f"{prefix}head", f"number of {role} in its layer, from 0"),
    )


HEAD = head_columns("", "the head")
