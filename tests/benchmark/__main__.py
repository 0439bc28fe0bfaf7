"""Measure, then write docs/benchmarks.md and reports/benchmarks.json."""

import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from pipeline.core.formats import write_json, write_text
from pipeline.pruning_study.latency import processor_name
from tests.benchmark import limit, long_texts, scaling
from tests.benchmark.methods import METHODS
from tests.benchmark.workload import Workload, embedded, single_heads
from tests.support.reference import reference_logits

PAIRS, REPETITIONS = 512, 3
JSON, PAGE, TEMPLATE = Path("reports/benchmarks.json"), Path("docs/benchmarks.md"), Path("tests/benchmark/page.md")


def main() -> None:
    workload = embedded(PAIRS)
    masks = single_heads(*workload.shape)
    seconds, logits = time_methods(workload, masks)
    rates = {name: limit.best_rate(workload, dtype) for name, dtype in DTYPES.items()}
    rows = compare(workload, masks, seconds, logits, rates)
    longer, grown = long_texts.table(), scaling.table()
    print(table(pd.DataFrame(rows)), table(longer), table(grown), sep="\n\n")
    write_json(JSON, rows)
    write_text(PAGE, page(workload, rows, rates, {"long_texts": longer, "scaling": grown}))


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def time_methods(workload: Workload, masks: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Median seconds a head over alternating repetitions, and each method's last logits of the heads timed."""
    times: dict[str, list[float]] = {name: [] for name in METHODS}
    logits = {}
    for _ in tqdm(range(REPETITIONS), desc="repetitions"):
        for name, (method, heads) in METHODS.items():
            start = time.perf_counter()
            logits[name] = method(workload, masks[:heads])
            times[name].append((time.perf_counter() - start) / len(masks[:heads]))
    return {name: statistics.median(one) for name, one in times.items()}, logits


def compare(
    workload: Workload,
    masks: np.ndarray,
    seconds: dict[str, float],
    logits: dict[str, np.ndarray],
    rates: dict[str, float],
) -> list[dict]:
    """One row a method; the difference is from the framework's forward of single pairs, on the first head."""
    config = workload.model.config
    operations = limit.sweep_operations(
        workload.pairs.lengths, *workload.shape, config.hidden_size, config.intermediate_size
    )
    expected = reference_logits(workload.model, workload.pairs, masks[0])
    rows = []
    for name, one in seconds.items():
        rate = rates["bfloat16" if name.endswith("bf16") else "float32"]
        rows.append(
            {
                "method": name,
                "seconds_per_head": one,
                "ratio_to_engine_fp32": one / seconds["engine_fp32"],
                "max_logit_difference": float(np.abs(logits[name][0] - expected).max()),
                "share_of_limit": operations / rate / (one * len(masks)),
            }
        )
    return rows


def page(workload: Workload, rows: list[dict], rates: dict[str, float], tables: dict[str, pd.DataFrame]) -> str:
    lengths = workload.pairs.lengths
    filled = {
        "machine": f"{processor_name()}, {torch.get_num_threads()} threads; torch {torch.__version__.split('+')[0]}",
        "pairs": f"{len(lengths)} pairs of {lengths.mean():.1f} tokens on average ({lengths.min()} to {lengths.max()})",
        "rates": ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items()),
        "methods": table(pd.DataFrame(rows)),
        **{name: table(frame) for name, frame in tables.items()},
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


def table(frame: pd.DataFrame) -> str:
    """A Markdown table, numbers to three significant digits."""
    cells = frame.map(lambda value: f"{value:.3g}" if isinstance(value, float) else str(value))
    lines = [list(frame.columns), ["---"] * frame.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
