"""Measure, then write docs/benchmarks.md and reports/benchmarks.json."""

import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from pipeline.core.formats import write_json, write_text
from pipeline.pruning_study.machine import processor_name
from tests.benchmark import gpu, limit, long_texts, scaling
from tests.benchmark.markdown import table
from tests.benchmark.methods import METHODS
from tests.benchmark.workload import Workload, embedded, single_heads
from tests.support.reference import reference_logits

PAIRS, REPETITIONS = 256, 3
JSON, PAGE, TEMPLATE = Path("reports/benchmarks.json"), Path("docs/benchmarks.md"), Path("tests/benchmark/page.md")


def main() -> None:
    workload = embedded(PAIRS)
    masks = single_heads(*workload.shape)
    times, logits, rates = time_methods(workload, masks)
    rows = compare(workload, masks, times, logits, rates)
    tables = {"long_texts": long_texts.table(), "scaling": scaling.table(), "memory": scaling.memory_table()}
    print(*map(table, (pd.DataFrame(rows), *tables.values())), sep="\n\n")
    write_json(JSON, rows)
    write_text(PAGE, page(workload, rows, rates, tables))


def gpu_section() -> str:
    """What was measured on this machine's GPU; where there is none, what the committed page says."""
    if torch.cuda.is_available():
        return gpu.section(torch.device("cuda"))
    return PAGE.read_text(encoding="utf-8").partition(GPU_HEADING)[2].strip()


GPU_HEADING = "## On a GPU"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Series = dict[str, list[float]]  # a value a repetition, by name


def time_methods(workload: Workload, masks: np.ndarray) -> tuple[Series, dict[str, np.ndarray], Series]:
    """Alternating repetitions: seconds a head, each method's last logits of the heads timed, and the best rates.

    A rate is measured in every repetition, since a machine that others use too gives now more and now less.
    """
    times: Series = {name: [] for name in METHODS}
    rates: Series = {name: [] for name in DTYPES}
    logits = {}
    for _ in tqdm(range(REPETITIONS), desc="repetitions"):
        for name, dtype in DTYPES.items():
            rates[name].append(limit.best_rate(workload, dtype))
        for name, (method, heads) in METHODS.items():
            start = time.perf_counter()
            logits[name] = method(workload, masks[:heads])
            times[name].append((time.perf_counter() - start) / len(masks[:heads]))
    return times, logits, rates


def compare(
    workload: Workload, masks: np.ndarray, times: Series, logits: dict[str, np.ndarray], rates: Series
) -> list[dict]:
    """One row a method; the difference is from the framework's forward of single pairs, on the first head.

    Ratios and shares are medians over the repetitions, each within one.
    """
    config = workload.model.config
    sizes = (workload.pairs.lengths, *workload.shape, config.hidden_size, config.intermediate_size)
    operations = limit.sweep_operations(*sizes)
    lower = 1 - limit.low_rank_saving(*sizes) / operations
    expected = reference_logits(workload.model, workload.pairs, masks[0])
    rows = []
    for name, seconds in times.items():
        best = rates["bfloat16" if name.endswith("bf16") else "float32"]
        shares = [operations / rate / (each * len(masks)) for rate, each in zip(best, seconds, strict=True)]
        ratios = [each / engine for each, engine in zip(seconds, times["engine_fp32"], strict=True)]
        rows.append(
            {
                "method": name,
                "seconds_per_head": statistics.median(seconds),
                "ratio_to_engine_fp32": statistics.median(ratios),
                "max_logit_difference": float(np.abs(logits[name][0] - expected).max()),
                "share_of_limit": statistics.median(shares),
                "share_of_lower_limit": lower * statistics.median(shares),
            }
        )
    return rows


def page(workload: Workload, rows: list[dict], rates: Series, tables: dict[str, pd.DataFrame]) -> str:
    lengths = workload.pairs.lengths
    filled = {
        "machine": f"{processor_name()}, {torch.get_num_threads()} threads; torch {torch.__version__.split('+')[0]}",
        "pairs": f"{len(lengths)} pairs of {lengths.mean():.1f} tokens on average ({lengths.min()} to {lengths.max()})",
        "rates": ", ".join(f"{name} {statistics.median(each) / 1e9:.0f} GFLOP/s" for name, each in rates.items()),
        "methods": table(pd.DataFrame(rows)),
        **{name: table(frame) for name, frame in tables.items()},
        "gpu": gpu_section(),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    return text


if __name__ == "__main__":
    main()
