"""The columns that name a head, in every table of heads."""

from pipeline.core.schemas import POSITIVE, Column


def head_columns(prefix: str, role: str) -> tuple[Column, Column]:
    """The columns <prefix>layer and <prefix>head of the head in a role."""
    return (
        Column(f"{prefix}layer", "int64", f"layer of {role}, from 0", range=POSITIVE),
        Column(f"{prefix}head", "int64", f"number of {role} in its layer, from 0", range=POSITIVE),
    )


HEAD = head_columns("", "the head")
