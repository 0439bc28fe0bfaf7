"""How model.name is read: embedded, scratch, a folder below data/checkpoints/, or a hub name."""

from pathlib import Path

from pipeline import paths

EMBEDDED = "embedded"
SCRATCH = "scratch"


def is_folder(name: str) -> bool:
    """Whether the name is written as a folder below data/checkpoints/."""
    path = Path(name)
    return paths.CHECKPOINTS in path.parents and ".." not in path.parts


def is_local(name: str) -> bool:
    """Whether loading the name never asks the model hub."""
    return name in (EMBEDDED, SCRATCH) or is_folder(name)
