"""How the engine's time and peak memory grow, each measured in a process of its own."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

import pandas as pd
import psutil
import torch

from tests.benchmark.long_texts import passages
from tests.benchmark.methods import engine
from tests.benchmark.workload import Workload, embedded, random_encoder, random_masks, single_heads

MIB = 2**20
FORGET_PEAK = Path("/proc/self/clear_refs")


def table() -> pd.DataFrame:
    """One row a setting: what grows, by how much, seconds, seconds over the first row's, MiB above the idle process."""
    rows = []
    for what, settings in SETTINGS.items():
        measured = [(value, *_in_own_process(what, value, torch.get_num_threads())) for value in settings]
        base = measured[0][1]
        rows += [(what, value, seconds, seconds / base, mebibytes) for value, seconds, mebibytes in measured]
    return pd.DataFrame(rows, columns=["what grows", "value", "seconds", "ratio", "peak MiB"])


def memory_table() -> pd.DataFrame:
    """One row an allocator and number of threads: MiB above the idle process with few and many interventions."""
    rows = []
    for allocator, library in {"C library": None, "tcmalloc": find_library("tcmalloc_minimal")}.items():
        if allocator == "tcmalloc" and library is None:
            continue
        for threads in (1, 2):
            few, many = (_in_own_process("interventions", count, threads, library)[1] for count in INTERVENTIONS)
            rows.append((allocator, threads, few, many, many / few))
    return pd.DataFrame(rows, columns=["allocator", "threads", *(f"{count}, MiB" for count in INTERVENTIONS), "ratio"])


def _pairs(count: int) -> tuple[Workload, object]:
    workload = embedded(count)
    return workload, single_heads(*workload.shape)


def _masked_together(count: int) -> tuple[Workload, object]:
    workload = embedded(64)
    return workload, random_masks(72, count, *workload.shape)


def _interventions(count: int) -> tuple[Workload, object]:
    workload = embedded(4)
    return workload, random_masks(count, 5, *workload.shape)


def _tokens(count: int) -> tuple[Workload, object]:
    workload = passages(2, count, 0)
    return workload, single_heads(*workload.shape)


def _layers(count: int) -> tuple[Workload, object]:
    workload = random_encoder(count, 64)
    return workload, single_heads(*workload.shape)


INTERVENTIONS = (360, 3600)
SETTINGS = {
    "pairs": (128, 256, 512),
    "heads masked together": (1, 5, 36),
    "layers": (6, 12),
    "tokens": (128, 512),
}
BUILDERS = {
    "pairs": _pairs,
    "heads masked together": _masked_together,
    "interventions": _interventions,
    "layers": _layers,
    "tokens": _tokens,
}


def _in_own_process(what: str, value: int, threads: int, library: str | None = None) -> tuple[float, float]:
    """Seconds and MiB of a setting, in a process with so many threads and, if given, another allocator's library."""
    with _preloaded(library), multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (what, value, threads))


@contextmanager
def _preloaded(library: str | None) -> Iterator[None]:
    """Let processes that start meanwhile load a library before their own."""
    if library is not None:
        os.environ["LD_PRELOAD"] = library
    try:
        yield
    finally:
        os.environ.pop("LD_PRELOAD", None)


def _measure(what: str, value: int, threads: int) -> tuple[float, float]:
    torch.set_num_threads(threads)
    workload, masks = BUILDERS[what](value)
    before = psutil.Process().memory_info().rss
    FORGET_PEAK.write_text("5", encoding="ascii")  # loading the model took more than evaluating it does
    start = time.perf_counter()
    engine(workload, masks)
    return time.perf_counter() - start, (_peak() - before) / MIB


def _peak() -> int:
    """Bytes of resident memory at most, since it was last forgotten."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kibibytes) * 1024
