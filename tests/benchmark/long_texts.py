"""The engine beside plain forwards for passages, which are longer than titles and hardly two of one length."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.models.tokenization import QUERY, SPECIAL, TITLE, EncodedPairs
from tests.benchmark.methods import METHODS
from tests.benchmark.workload import Workload, embedded, single_heads

PAIRS, REPETITIONS = 32, 3
LENGTHS = {100: 20.0, 320: 90.0}  # mean tokens: standard deviation
LONGEST, QUERY_TOKENS = 512, 10
FIRST_WORD = 1000  # ids below are special or single characters


def table(pairs: int = PAIRS, repetitions: int = REPETITIONS) -> pd.DataFrame:
    """One row a length: tokens, and seconds a head of sorted plain forwards, of the engine, and their ratio."""
    rows = []
    for mean, deviation in LENGTHS.items():
        workload = passages(pairs, mean, deviation)
        masks = single_heads(*workload.shape)
        seconds: dict[str, list[float]] = {"sorted": [], "engine_fp32": []}
        for _ in range(repetitions):
            for name, times in seconds.items():
                method, heads = METHODS[name]
                times.append(_seconds(lambda: method(workload, masks[:heads])) / len(masks[:heads]))  # noqa: B023
        plain, engine = seconds.values()
        ratio = statistics.median(a / b for a, b in zip(plain, engine, strict=True))
        rows.append((mean, deviation, statistics.median(plain), statistics.median(engine), ratio))
    return pd.DataFrame(rows, columns=["tokens", "sd", "sorted, s a head", "engine_fp32, s a head", "ratio"])


def passages(pairs: int, mean: float, deviation: float) -> Workload:
    """The default model and pairs of a short query and a passage of random words."""
    model = embedded(2).model
    return Workload(model, random_pairs(pairs, mean, deviation, model.config.vocab_size))


def random_pairs(pairs: int, mean: float, deviation: float, vocabulary: int) -> EncodedPairs:
    """Pairs of a query of QUERY_TOKENS and a title of random words, at most LONGEST tokens together."""
    rng = np.random.default_rng(0)
    lengths = rng.normal(mean, deviation, pairs).round().clip(2 * QUERY_TOKENS, LONGEST).astype(int)
    segment = np.concatenate([_segments(length) for length in lengths])
    ids = rng.integers(FIRST_WORD, vocabulary, len(segment))
    none = np.zeros((len(segment), 2), dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    types = (segment == TITLE).astype(np.int64)
    return EncodedPairs(ids, types, segment, none, starts, np.zeros(pairs, dtype=bool))


def _segments(length: int) -> np.ndarray:
    segment = np.full(length, TITLE, dtype=np.int8)
    segment[1 : 1 + QUERY_TOKENS] = QUERY
    segment[[0, 1 + QUERY_TOKENS, -1]] = SPECIAL
    return segment


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
