"""The report's tables as text: a caption, column heads, and rows whose first cell names the row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.core.heads import Head
from pipeline.findings import select
from pipeline.findings.verdict import percent
from pipeline.report.results import Results
from pipeline.report.text import visible, width

SPLITS = ("train", "dev", "test")
EVALUATED = ("dev", "test")
BASELINES = {"majority class": "test_majority_accuracy", "logistic regression on words": "test_tfidf_accuracy"}
# Function -> the phenomena of the generated corpus that its heads should be needed for most: which words are shared
# decides the lexical ones.
LEXICAL = ("exact", "missing_modifier", "wrong_modifier", "same_category", "high_overlap_trap")
EXPECTED = {"term_match": LEXICAL} | dict.fromkeys(("previous_term", "next_term", "word_order"), ("word_order",))
ABLATION_TYPES = {"zero": "nothing", "mean": "its mean", "resample": "its output on another pair"}
SHOWN = 10  # heads in a table of extremes
HEAD_COLUMNS = {  # column of heads.csv -> its title and format
    select.CHANGE: ("accuracy, relative (95% interval)", ""),
    "verdict": ("verdict (accuracy)", "{}"),
    "q": ("q", "{:.3f}"),
    "detectable": ("smallest effect seen", "{:.1%}"),
    "margin_change": ("gold-logit margin", "{:+.3f}"),
    "qwk_change": ("qwk", "{:+.3f}"),
    "mae_change": ("mae (grades)", "{:+.3f}"),
    "log_loss_change": ("log loss (nats)", "{:+.3f}"),
    "right_to_wrong": ("pairs right to wrong", "{:.0f}"),
    "wrong_to_right": ("pairs wrong to right", "{:.0f}"),
}


@dataclass(frozen=True)
class Table:
    caption: str
    columns: list[str]
    rows: list[list[str]]


def run_table(results: Results) -> Table:
    """The run's settings, and the model's accuracy with that of lexical baselines."""
    layers, heads = results.shape
    baselines = {name: results.finetune[key] for name, key in BASELINES.items() if key in results.finetune}
    rows = [
        *results.setting,
        ("Pairs", ", ".join(f"{number(results.prepare.get(f'{split}_pairs'))} {split}" for split in SPLITS)),
        ("Attention heads", f"{layers} layers x {heads} heads = {layers * heads}"),
        ("Accuracy", f"{number(results.finetune.get('test_accuracy'))} of test pairs graded right"),
        ("Floors", ", ".join(f"{name} {number(value)}" for name, value in baselines.items()) or "not measured"),
        ("Masked on", f"{results.pairs} test pairs, unmasked accuracy {results.accuracy:.3f}"),
    ]
    return Table("The run, and its accuracy beside graders that need no model", ["", ""], [list(row) for row in rows])


def most_needed(results: Results) -> Table:
    """The heads whose loss costs most accuracy."""
    costly = results.heads[results.heads[select.CHANGE] < 0].sort_values([select.CHANGE, "layer", "head"])
    return _extremes("Heads whose loss costs most", costly, results)


def most_harmful(results: Results) -> Table:
    """The heads without which accuracy is higher."""
    harmful = results.heads[results.heads[select.CHANGE] > 0]
    ranked = harmful.sort_values([select.CHANGE, "layer", "head"], ascending=[False, True, True])
    return _extremes("Heads whose loss helps most", ranked, results)


def _extremes(title: str, ranked: pd.DataFrame, results: Results) -> Table:
    """The first SHOWN heads."""
    where = f"on {results.pairs} test pairs; layers and heads count from 0."
    rows = [
        [Head.of_row(row).name, *(_measure(row, name, form) for name, (_, form) in HEAD_COLUMNS.items())]
        for _, row in ranked.head(SHOWN).iterrows()
    ]
    columns = ["head", *(heading for heading, _ in HEAD_COLUMNS.values())]
    return Table(f"{title}: changes against the unmasked model {where}", columns, rows)


def _measure(row: pd.Series, name: str, form: str) -> str:
    return select.row_estimate(row).text() if name == select.CHANGE else form.format(row[name])


def labelled_heads(results: Results) -> Table:
    """Each function, and the heads that do it."""
    rows = []
    for function, heads in results.tables.labels.groupby("function", sort=False):
        ranked = heads.sort_values("low", ascending=False)
        names, strongest = [Head.of_row(row).short for _, row in ranked[ranked["label"]].iterrows()], ranked.iloc[0]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        figures = f"{strongest['score']:.3f} against {strongest['control']:.3f}"
        rows.append([str(function), str(len(names)), f"{', '.join(names[:SHOWN])}{more}" or "none", figures])
    caption = (
        "Heads by function, as layer.head, surest first: the score's lower bound exceeds the control's by more than "
        f"{results.tables.label_threshold:g}, on the dev split"
    )
    return Table(caption, ["function", "heads", "which", "strongest: score against control"], rows)


def worst_slices(results: Results) -> Table:
    """For each functional group the phenomenon it costs most, and the expected ones; no row without phenomena."""
    sliced = results.slices[results.slices["slice"] == "phenomenon"].dropna(subset=[select.CHANGE])
    ranked = sliced.sort_values(select.CHANGE, kind="stable")
    rows = []
    for function, expected in EXPECTED.items():
        for _, worst in ranked[ranked["group"] == function].head(1).iterrows():
            verdict = "as expected" if worst["value"] in expected else "not as expected"
            change = select.row_estimate(worst).text()
            rows.append([function, str(worst["value"]), change, ", ".join(expected), verdict])
    columns = ["heads masked", "costs most on", "accuracy, relative (95% interval)", "should be", ""]
    return Table("Where each function's heads are needed most, by phenomenon", columns, rows)


def relay_heads(results: Results) -> Table:
    """Relay heads: their attention to shared terms, and the share of the term-match heads' effect they mediate."""
    relays = select.relay_heads(results.tables.mediation)
    rows = [
        [
            Head.of_row(row).name,
            f"{row['share']:.2f} ({row['chance']:.2f})",
            _interval(row, "share_change", "{:+.2f}"),
            f"{row['control_median']:+.2f}",
            f"{row['p']:.3f}",
            _interval(row, "indirect", "{:+.2f}"),
            _interval(row, "direct", "{:+.2f}"),
            _interval(row, "mediated", "{:.0%}"),
        ]
        for _, row in relays.iterrows()
    ]
    total = _interval(relays.iloc[0], "total", "{:+.2f}") if len(relays) else "not measured"
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
    """Heads whose accuracy changes detectably under zero ablation only, with their change under each type."""
    rows = [
        [Head.of_row(row).name, *(percent(row[f"{name}_change"]) for name in ABLATION_TYPES)]
        for _, row in results.heads[results.heads["only_zero"]].iterrows()
    ]
    caption = "Heads that matter only under zero: relative accuracy change by what takes the head's place"
    return Table(caption, ["head", *ABLATION_TYPES.values()], rows)


def metric_table(finetune: Mapping[str, Any]) -> Table:
    """Every metric of dev or test; undefined ones with their reason."""
    values = {name: number(value) for name, value in finetune.items() if name != "undefined"}
    values |= {name: f"undefined: {reason}" for name, reason in finetune.get("undefined", {}).items()}
    names = [name.removeprefix("test_") for name in finetune if name.startswith("test_")]
    rows = [[name, *(values.get(f"{split}_{name}", number(None)) for split in EVALUATED)] for name in names]
    return Table("The fine-tuned model on dev and test, nothing masked", ["metric", *EVALUATED], rows)


def corpus_table(prepare: Mapping[str, Any]) -> Table:
    """Everything counted when the data was prepared."""
    rows = [[name, number(value)] for name, value in prepare.items()]
    return Table("The data, as prepared", ["count", "value"], rows)


def number(value: Any) -> str:
    """Whole numbers as they are, others with three decimals, None as undefined."""
    if value is None:
        return "undefined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def plain_text(table: Table) -> str:
    """The caption, then the columns' names and the rows; "none" where there is no row."""
    if not table.rows:
        return f"{visible(table.caption)}: none"
    lines = [[visible(cell) for cell in row] for row in [table.columns, *table.rows]]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return "\n".join([f"{visible(table.caption)}:", *(_plain_line(row, widths) for row in lines)])


def _plain_line(row: list[str], widths: list[int]) -> str:
    """The first column left-aligned, the others, numbers, right-aligned."""
    padding = [" " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
    cells = [row[0] + padding[0], *(pad + cell for cell, pad in zip(row[1:], padding[1:], strict=True))]
    return f"  {'  '.join(cells)}".rstrip()
