"""The least that a sweep can cost: its floating-point operations over the best matrix rate of this machine."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from pipeline.ablation.linear import pack_linear
from tests.benchmark.workload import Workload

REPETITIONS = 5


def sweep_operations(lengths: np.ndarray, layers: int, heads: int, hidden: int, inner: int) -> float:
    """Operations of the clean run and of every head masked alone, as docs/benchmarks.md writes them.

    Args:
        lengths: tokens of each pair.
        hidden, inner: sizes of the states and of the feed-forward layer.
    """
    n, d, f = lengths.astype(float), hidden, inner
    projections, attention, output = 6 * n * d * d, 4 * n * n * d, 2 * n * d * d
    update, feed_forward = 2 * n * d * (d / heads), 4 * n * d * f
    total = np.zeros_like(n)
    for layer in range(layers - 1):
        states = 1 + heads * layer
        total += states * (projections + attention + output) + heads * update + (states + heads) * feed_forward
    states = 1 + heads * (layers - 1)
    first = 8 * d * d + 4 * n * heads * d  # query, its reader of x, value, output; scores and mean of x
    total += states * first + heads * 2 * d * (d / heads) + (states + heads) * 4 * d * f
    return float(total.sum())


def low_rank_saving(lengths: np.ndarray, layers: int, heads: int, hidden: int, inner: int) -> float:
    """Operations of `sweep_operations` that an exact low-rank update of the expanding product would save.

    A normalisation is a shift and a scale of each token, so that what a head takes away, of rank hidden / heads, passes
    into that product; the activation ends it.
    """
    tokens = (layers - 1) * lengths.astype(float).sum() + len(lengths)
    return float(tokens * heads * 2 * (hidden - hidden / heads) * inner)


def best_rate(workload: Workload, dtype: torch.dtype) -> float:
    """Operations a second of the fastest matrix product found: the workload's shapes and squares, plain and packed."""
    hidden, inner = workload.model.config.hidden_size, workload.model.config.intermediate_size
    shapes = [(rows, *sizes) for rows in (512, 1024, 2048, 4096) for sizes in ((hidden, inner), (inner, hidden))]
    shapes += [(rows, hidden, 3 * hidden) for rows in (1024, 2048, 4096)] + [(1024,) * 3, (2048,) * 3]
    return max(_rate(product, *shape, dtype) for shape in shapes for product in (_plain, _packed))


def _plain(weight: torch.Tensor, bias: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: F.linear(x, weight, bias)


def _packed(weight: torch.Tensor, bias: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return pack_linear(weight, bias)


@torch.inference_mode()
def _rate(product, rows: int, inputs: int, outputs: int, dtype: torch.dtype) -> float:
    x = torch.randn(rows, inputs, dtype=dtype)
    run = product(torch.randn(outputs, inputs, dtype=dtype), torch.zeros(outputs, dtype=dtype))
    run(x)
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        run(x)
        seconds.append(time.perf_counter() - start)
    return 2 * rows * inputs * outputs / statistics.median(seconds)
