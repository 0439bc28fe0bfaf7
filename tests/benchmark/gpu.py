"""The GPU's part of docs/benchmarks.md: the engine in every precision beside a plain forward, where there is a GPU."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.ablation.precision import BFLOAT16, FLOAT32, TF32
from tests.benchmark.limit import sweep_operations
from tests.benchmark.long_texts import random_pairs
from tests.benchmark.markdown import table
from tests.benchmark.methods import METHODS, engine, rounded
from tests.benchmark.workload import Workload, single_heads

REPETITIONS, HEADS_OF_PLAIN, SQUARE, PRODUCTS = 3, 2, 8192, 20


@dataclass(frozen=True)
class Scale:
    """What is measured: a random model of BERT-base's sizes; pairs of `tokens`, mean and standard deviation."""

    layers: int = 12
    heads: int = 12
    hidden: int = 768
    pairs: int = 5000
    tokens: tuple[float, float] = (30, 6)

    def workload(self, device: torch.device) -> Workload:
        torch.manual_seed(0)
        config = BertConfig(
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            hidden_size=self.hidden,
            intermediate_size=4 * self.hidden,
            num_labels=5,
        )
        model = BertForSequenceClassification(config).eval().to(device)
        torch.nn.init.normal_(model.classifier.weight, std=0.3)
        return Workload(model, random_pairs(self.pairs, *self.tokens, config.vocab_size))


def section(device: torch.device, scale: Scale = Scale()) -> str:
    """Markdown: the machine, and a row for the plain forward and for the engine in each precision."""
    workload = scale.workload(device)
    masks = single_heads(*workload.shape)
    runs: dict[str, tuple[Callable[[], object], int]] = {
        "sorted, float32": (lambda: METHODS["sorted"][0](workload, masks[:HEADS_OF_PLAIN]), HEADS_OF_PLAIN),
        "engine, float32": (lambda: engine(workload, masks), len(masks)),
    }
    for precision in (TF32, BFLOAT16):
        if device.type == "cuda" or not precision.takes_tf32:
            runs[f"engine, {precision.name}"] = (lambda chosen=precision: rounded(workload, masks, chosen), len(masks))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    rates = []
    for _ in range(1 + REPETITIONS):  # the first one warms up
        rates.append(product_rate(device, min(SQUARE, 16 * scale.hidden)))
        for name, (run, heads) in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - start) * len(masks) / heads)
            print(f"{name}: {seconds[name][-1]:.2f} s", flush=True)  # minutes pass until the table is there
    config = workload.model.config
    operations = sweep_operations(workload.pairs.lengths, *workload.shape, config.hidden_size, config.intermediate_size)
    exact = seconds["engine, float32"]
    rows = [
        (name, statistics.median(each[1:]), _ratio(exact, each), _share(operations, rates, each, "float32" in name))
        for name, each in seconds.items()
    ]
    frame = pd.DataFrame(rows, columns=["method", "seconds", "times as fast as engine, float32", "share of limit"])
    return f"{_machine(device)}, {scale.pairs:,} pairs of {scale.tokens[0]:g} tokens, every head of a model of " + (
        f"{scale.layers} layers x {scale.heads} heads; best float32 rate {statistics.median(rates[1:]) / 1e12:.3g} "
        f"TFLOP/s. Less than float32 includes the close calls, exact again.\n\n{table(frame)}"
    )


def product_rate(device: torch.device, size: int) -> float:
    """Operations a second of a square float32 product."""
    with FLOAT32.products(device):
        x = torch.randn(size, size, device=device)
        _ = (x @ x).sum().item()
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            y = x @ x
        y.sum().item()
        return 2 * size**3 * PRODUCTS / (time.perf_counter() - start)


def _ratio(exact: list[float], seconds: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(exact[1:], seconds[1:], strict=True))


def _share(operations: float, rates: list[float], seconds: list[float], is_exact: bool) -> float | str:
    if not is_exact:
        return ""
    return statistics.median(operations / rate / each for rate, each in zip(rates[1:], seconds[1:], strict=True))


def _machine(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "A CPU in its place"
