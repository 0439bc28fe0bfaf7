"""Threads of torch within a block of code."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Threads of torch within a block; None: as many as before."""
    if threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def few_threads(most: int) -> AbstractContextManager[None]:
    """At most so many threads within a block: small products are slower on more."""
    return torch_threads(min(most, torch.get_num_threads()))
