"""The report's tables as text: a caption, column heads, and rows whose first cell names the row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.analysis import readings
from pipeline.analysis.verdicts import percent
from pipeline.reporting.results import Results

SPLITS = ("train", "dev", "test")
EVALUATED = ("dev", "test")
SHOWN = 10  # heads in a table of extremes
HEAD_COLUMNS = {
    "relative_accuracy_change": "accuracy, relative",
    "qwk_change": "qwk",
    "mae_change": "mae (grades)",
    "log_loss_change": "log loss (nats)",
    "right_to_wrong": "pairs right to wrong",
    "wrong_to_right": "pairs wrong to right",
}


@dataclass(frozen=True)
class Table:
    caption: str
    columns: list[str]
    rows: list[list[str]]


def run(results: Results) -> Table:
    """What was run, and how well the model grades beside what needs no model."""
    layers, heads = results.shape
    accuracy = f"{number(results.finetune.get('test_accuracy'))} of test pairs graded right"
    floors = {"majority class": "test_majority_accuracy", "logistic regression on words": "test_tfidf_accuracy"}
    known = {name: results.finetune[key] for name, key in floors.items() if key in results.finetune}
    rows = [
        *results.setting,
        ("Pairs", ", ".join(f"{number(results.prepare.get(f'{split}_pairs'))} {split}" for split in SPLITS)),
        ("Attention heads", f"{layers} layers x {heads} heads = {layers * heads}"),
        ("Accuracy", accuracy),
        ("Floors", ", ".join(f"{name} {number(value)}" for name, value in known.items()) or "not measured"),
        ("Masked on", f"{results.pairs} test pairs, unmasked accuracy {results.accuracy:.3f}"),
    ]
    return Table("The run, and its accuracy beside graders that need no model", ["", ""], [list(row) for row in rows])


def most_needed(results: Results) -> Table:
    """The heads whose loss costs most accuracy."""
    losing = results.heads[results.heads[readings.CHANGE] < 0].sort_values([readings.CHANGE, "layer", "head"])
    return _extremes("Heads whose loss costs most", losing, results)


def most_harmful(results: Results) -> Table:
    """The heads without which accuracy is higher."""
    order = {readings.CHANGE: False, "layer": True, "head": True}
    gaining = results.heads[results.heads[readings.CHANGE] > 0].sort_values(list(order), ascending=list(order.values()))
    return _extremes("Heads whose loss helps most", gaining, results)


def _extremes(what: str, heads: pd.DataFrame, results: Results) -> Table:
    caption = (
        f"{what}: changes against the unmasked model on {results.pairs} test pairs; layers and heads count from 0."
    )
    rows = [
        [f"layer {row['layer']:.0f} head {row['head']:.0f}", *(_measure(name, row[name]) for name in HEAD_COLUMNS)]
        for _, row in heads.head(SHOWN).iterrows()
    ]
    return Table(caption, ["head", *HEAD_COLUMNS.values()], rows)


def _measure(name: str, value: float) -> str:
    if name == readings.CHANGE:
        return percent(value)
    return f"{value:+.3f}" if name.endswith("_change") else f"{value:.0f}"


def metrics(finetune: Mapping[str, Any]) -> Table:
    """Every metric that dev or test has, beside each other; the undefined ones say why."""
    reasons = finetune.get("undefined", {})
    names = [key.removeprefix("test_") for key in finetune if key.startswith("test_")]
    rows = [[name, *(_defined(finetune, reasons, f"{split}_{name}") for split in EVALUATED)] for name in names]
    return Table("The fine-tuned model on dev and test, nothing masked", ["metric", *EVALUATED], rows)


def _defined(values: Mapping[str, Any], reasons: Mapping[str, str], name: str) -> str:
    return f"undefined: {reasons[name]}" if name in reasons else number(values.get(name))


def corpus(prepare: Mapping[str, Any]) -> Table:
    """Everything counted when the data was prepared."""
    return Table(
        "The data, as prepared", ["count", "value"], [[name, number(value)] for name, value in prepare.items()]
    )


def number(value: Any) -> str:
    """Whole numbers as they are, others with three decimals, None as undefined."""
    if value is None:
        return "undefined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
