"""The report's tables as text: a caption, column heads, and rows whose first cell names the row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.findings import select
from pipeline.findings.verdict import percent
from pipeline.report.results import Results
from pipeline.report.text import visible, width

SPLITS = ("train", "dev", "test")
EVALUATED = ("dev", "test")
# Function -> the phenomena of the generated corpus that its heads should be needed for most: which words are shared
# decides the lexical ones.
LEXICAL = ("exact", "missing_modifier", "wrong_modifier", "same_category", "high_overlap_trap")
EXPECTED = {
    "term_match": LEXICAL,
    "previous_term": ("word_order",),
    "next_term": ("word_order",),
    "word_order": ("word_order",),
}
STAND_INS = {"zero": "nothing", "mean": "its mean", "resample": "its output on another pair"}
SHOWN = 10  # heads in a table of extremes
HEAD_COLUMNS = {
    "relative_accuracy_change": "accuracy, relative (95% interval)",
    "verdict": "verdict (accuracy)",
    "q": "q",
    "detectable": "smallest effect seen",
    "margin_change": "gold-logit margin",
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


def run_table(results: Results) -> Table:
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
    losing = results.heads[results.heads[select.CHANGE] < 0].sort_values([select.CHANGE, "layer", "head"])
    return _extremes("Heads whose loss costs most", losing, results)


def most_harmful(results: Results) -> Table:
    """The heads without which accuracy is higher."""
    order = {select.CHANGE: False, "layer": True, "head": True}
    gaining = results.heads[results.heads[select.CHANGE] > 0].sort_values(list(order), ascending=list(order.values()))
    return _extremes("Heads whose loss helps most", gaining, results)


def _extremes(what: str, heads: pd.DataFrame, results: Results) -> Table:
    caption = (
        f"{what}: changes against the unmasked model on {results.pairs} test pairs; layers and heads count from 0."
    )
    rows = [
        [f"layer {row['layer']:.0f} head {row['head']:.0f}", *(_measure(name, row) for name in HEAD_COLUMNS)]
        for _, row in heads.head(SHOWN).iterrows()
    ]
    return Table(caption, ["head", *HEAD_COLUMNS.values()], rows)


def _measure(name: str, row: pd.Series) -> str:
    value = row[name]
    if name == select.CHANGE:
        return select.row_estimate(row).text()
    if name == "detectable":
        return f"{value:.1%}"
    if name in ("q", "verdict"):
        return value if name == "verdict" else f"{value:.3f}"
    return f"{value:+.3f}" if name.endswith("_change") else f"{value:.0f}"


def labelled_heads(results: Results) -> Table:
    """Each function, and the heads that do it."""
    rows = []
    for name, heads in results.tables.labels.groupby("function", sort=False):
        own = heads[heads["label"]].sort_values("low", ascending=False)
        best = ", ".join(f"{row.layer}.{row.head}" for row in own.head(SHOWN).itertuples())
        more = f" and {len(own) - SHOWN} more" if len(own) > SHOWN else ""
        strongest = heads.sort_values("low", ascending=False).iloc[0]
        figures = f"{strongest['score']:.3f} against {strongest['control']:.3f}"
        rows.append([str(name), str(len(own)), f"{best}{more}" or "none", figures])
    caption = (
        "Heads by function, as layer.head, surest first: the score's lower bound exceeds the control's by more than "
        f"{results.tables.label_margin:g}, on the dev split"
    )
    return Table(caption, ["function", "heads", "which", "strongest: score against control"], rows)


def worst_slices(results: Results) -> Table:
    """For each functional group the phenomenon it costs most, beside where it should; no row without phenomena."""
    sliced = results.slices[results.slices["slice"] == "phenomenon"].dropna(subset=[select.CHANGE])
    rows = []
    for group, expected in EXPECTED.items():
        own = sliced[sliced["group"] == group].sort_values(select.CHANGE, kind="stable")
        if len(own):
            worst = own.iloc[0]
            verdict = "as expected" if worst["value"] in expected else "not as expected"
            rows.append([group, str(worst["value"]), select.row_estimate(worst).text(), ", ".join(expected), verdict])
    columns = ["heads masked", "costs most on", "accuracy, relative (95% interval)", "should be", ""]
    return Table("Where each function's heads are needed most, by phenomenon", columns, rows)


def relay_heads(results: Results) -> Table:
    """The high heads that read shared terms, and what of that they owe to the term-match heads."""
    own = results.tables.readers[results.tables.readers["reader"].astype(bool)]
    rows = [
        [
            f"layer {row['layer']} head {row['head']}",
            f"{row['share']:.2f} ({row['chance']:.2f})",
            _interval(row, "share_change", "{:+.2f}"),
            f"{row['control_median']:+.2f}",
            f"{row['p']:.3f}",
            _interval(row, "indirect", "{:+.2f}"),
            _interval(row, "direct", "{:+.2f}"),
            _interval(row, "mediated", "{:.0%}"),
        ]
        for _, row in own.iterrows()
    ]
    total = _interval(own.iloc[0], "total", "{:+.2f}") if len(own) else "not measured"
    caption = (
        "Reader heads, chosen on dev: share of [CLS]'s attention to terms on shared ones, its change with "
        f"the term-match heads masked, and what they mediate of that masking's effect on the margin ({total})"
    )
    columns = ["head", "share (chance)", "change", "random heads", "p", "indirect", "direct", "mediated"]
    return Table(caption, columns, rows)


def _interval(row: pd.Series, name: str, form: str) -> str:
    if pd.isna(row[name]):
        return "not told"
    return f"{form} ({form} to {form})".format(row[name], row[f"{name}_low"], row[f"{name}_high"])


def ablation_types(results: Results) -> Table:
    """Heads whose accuracy changes detectably with nothing in their place, and with neither stand-in."""
    heads = results.heads
    rows = [
        [f"layer {row['layer']} head {row['head']}", *(percent(row[f"{name}_change"]) for name in STAND_INS)]
        for _, row in heads[heads["only_zero"].astype(str) == "True"].iterrows()
    ]
    caption = "Heads that matter only under zero: relative accuracy change by what takes the head's place"
    return Table(caption, ["head", *STAND_INS.values()], rows)


def metric_table(finetune: Mapping[str, Any]) -> Table:
    """Every metric that dev or test has, beside each other; the undefined ones say why."""
    reasons = finetune.get("undefined", {})
    names = [key.removeprefix("test_") for key in finetune if key.startswith("test_")]
    rows = [[name, *(_defined(finetune, reasons, f"{split}_{name}") for split in EVALUATED)] for name in names]
    return Table("The fine-tuned model on dev and test, nothing masked", ["metric", *EVALUATED], rows)


def _defined(values: Mapping[str, Any], reasons: Mapping[str, str], name: str) -> str:
    return f"undefined: {reasons[name]}" if name in reasons else number(values.get(name))


def corpus_table(prepare: Mapping[str, Any]) -> Table:
    """Everything counted when the data was prepared."""
    return Table(
        "The data, as prepared", ["count", "value"], [[name, number(value)] for name, value in prepare.items()]
    )


def number(value: Any) -> str:
    """Whole numbers as they are, others with three decimals, None as undefined."""
    if value is None:
        return "undefined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


GUTTER = "  "


def plain_text(table: Table) -> str:
    """The caption, then the columns' names and the rows; "none" where there is no row."""
    if not table.rows:
        return f"{visible(table.caption)}: none"
    lines = [[visible(cell) for cell in row] for row in [table.columns, *table.rows]]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return "\n".join([f"{visible(table.caption)}:", *(_plain_line(row, widths) for row in lines)])


def _plain_line(row: list[str], widths: list[int]) -> str:
    """The first column from the left, the others from the right, as numbers stand."""
    padding = [" " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
    first, *others = zip(row, padding, strict=True)
    return GUTTER + GUTTER.join(["".join(first), *(pad + cell for cell, pad in others)]).rstrip()
