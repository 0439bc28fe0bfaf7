"""Names of attention heads, written and read: "layer 2 head 9", "2.9"."""

from typing import NamedTuple, Self


class Head(NamedTuple):
    """A head by its layer and its number in the layer, both counted from 0."""

    layer: int
    head: int

    @property
    def name(self) -> str:
        """Long name, for sentences and tables: "layer 2 head 9"."""
        return f"layer {self.layer} head {self.head}"

    @property
    def short(self) -> str:
        """Short name, for figures and lists: "2.9"."""
        return f"{self.layer}.{self.head}"

    @classmethod
    def from_short(cls, text: str) -> Self:
        """Read the head from its short name."""
        layer, head = text.split(".")
        return cls(int(layer), int(head))

    @classmethod
    def of_row(cls, row) -> Self:
        """Read the head from a table's row with `layer` and `head` (a Series, a mapping or a named tuple)."""
        layer, head = (row.layer, row.head) if hasattr(row, "_fields") else (row["layer"], row["head"])
        return cls(int(layer), int(head))


def every_head(layers: int, heads: int) -> list[Head]:
    """All heads of a model, by layer, then head."""
    return [Head(layer, head) for layer in range(layers) for head in range(heads)]
