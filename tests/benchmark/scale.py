"""python -m tests.benchmark.scale (make docs) writes the tables of docs/scale.md: what a sweep costs, by formula."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.ablation.cls_attention import QUANTITIES
from pipeline.core.formats import write_text
from tests.benchmark.limit import sweep_operations

PAGE = Path("docs/scale.md")
TOKENS = 30
PAIRS = (10_000, 100_000, 1_000_000, 10_000_000)
OUTPUTS = 5
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Size:
    """Size of a model."""

    layers: int
    heads: int
    hidden: int
    inner: int
    vocabulary: int

    def operations(self, tokens: int) -> float:
        """Of every head masked alone on a pair."""
        return sweep_operations(np.array([tokens]), self.layers, self.heads, self.hidden, self.inner)

    @property
    def rows(self) -> int:
        """Of the results of that sweep, the unmasked model's too."""
        return 1 + self.layers * self.heads

    @property
    def worker_bytes(self) -> int:
        """Of the weights in a worker in float32: as the checkpoint has them, and packed."""
        checkpoint = 4 * self.hidden**2 + 2 * self.hidden * self.inner
        again = 3 * self.hidden**2 + 2 * self.hidden * self.inner  # query, key, the heads' projection; images
        packed = checkpoint + again
        return FLOAT * (self.layers * (checkpoint + packed) + self.vocabulary * self.hidden)

    @property
    def logit_bytes(self) -> int:
        """Of the logits of a pair."""
        return FLOAT * self.rows * OUTPUTS

    @property
    def attention_bytes(self) -> int:
        """Of the [CLS] attention of a pair, in every layer but the first."""
        return FLOAT * self.rows * (self.layers - 1) * self.heads * len(QUANTITIES)


SIZES = {
    "bert-base": Size(12, 12, 768, 3072, 30_522),
    "bert-large": Size(24, 16, 1024, 4096, 30_522),
    "xlm-roberta-large": Size(24, 16, 1024, 4096, 250_002),
}

# Operations a second of the engine, those of the formula over the seconds measured: docs/scale.md names each source.
SUSTAINED = {
    "2 CPU threads": 0.75 * 504e9,
    "one GPU, float32": 8.157e14 / 18.90,
    "one GPU, TF32": 8.157e14 / 4.48,
    "one GPU, bfloat16": 8.157e14 / 3.04,
}
WORKERS, EFFICIENCY = 8, 0.915  # measured for two workers: each does 0.915 to 1 of what one alone does


def costs() -> str:
    """Operations, time and memory of every head masked alone, a row for each model and number of pairs."""
    many = f"{WORKERS} GPUs, float32"
    rows = [["model", "pairs", "operations", *SUSTAINED, many, "logits", "[CLS] attention"]]
    for name, size in (("bert-base", SIZES["bert-base"]), ("bert-large, xlm-roberta-large", SIZES["bert-large"])):
        for pairs in PAIRS:
            operations = size.operations(TOKENS) * pairs
            seconds = [operations / rate for rate in SUSTAINED.values()]
            seconds.append(operations / (SUSTAINED["one GPU, float32"] * WORKERS * EFFICIENCY))
            held = [_bytes(size.logit_bytes * pairs), _bytes(size.attention_bytes * pairs)]
            rows.append([name, f"{pairs:,}", f"{operations:.2g}", *map(_duration, seconds), *held])
    return _table(rows)


def weights() -> str:
    """Weights in each worker, and operations of a pair by its length."""
    lengths = (30, 64, 128, 256, 512)
    rows = [["model", "weights", *(f"{tokens} tokens" for tokens in lengths)]]
    for name, size in SIZES.items():
        rows.append([name, _bytes(size.worker_bytes), *(f"{size.operations(tokens):.2g}" for tokens in lengths)])
    return _table(rows)


TABLES = {"costs": costs, "weights": weights}


def page(text: str) -> str:
    """The page with its tables as they are now."""
    for name, table in TABLES.items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- end of {name} -->")
        text = f"{before}<!-- {name} -->\n\n{table()}\n\n<!-- end of {name} -->{after}"
    return text


def _duration(seconds: float) -> str:
    for unit, length in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {unit}" if seconds < 100 * length else f"{seconds / length:.0f} {unit}"
    return f"{seconds:.2g} s"


def _bytes(count: float) -> str:
    return next(f"{count / 10**power:.3g} {unit}" for power, unit in _UNITS if count >= 10**power)


_UNITS = ((12, "TB"), (9, "GB"), (6, "MB"), (3, "kB"))


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body))


if __name__ == "__main__":
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8")))
