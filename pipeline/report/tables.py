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
from pipeline.tables.dependency import ALL_ROWS

SPLITS = ("train", "dev", "test")
EVALUATED = ("dev", "test")
BASELINES = {"majority class": "test_majority_accuracy", "logistic regression on words": "test_tfidf_accuracy"}
# Function -> the phenomena of the generated corpus that its heads should be needed for most: which words are shared
# decides the lexical ones.
LEXICAL = ("exact", "missing_modifier", "wrong_modifier", "same_category", "high_overlap_trap")
EXPECTED = {"term_match": LEXICAL} | dict.fromkeys(("previous_term", "next_term", "word_order"), ("word_order",))
ABLATION_TYPES = ("zero", "mean", "resample")
SHOWN = 10  # heads in a table of extremes
HEAD_COLUMNS = {  # column of heads.csv -> its title and format
    select.CHANGE: ("accuracy, relative (95% interval)", ""),
    "verdict": ("verdict (accuracy)", "{}"),
    "q": ("q", "{:.3f}"),
    "min_detectable_change": ("minimum detectable effect", "{:.1%}"),
    "logit_margin_change": ("logit margin", "{:+.3f}"),
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
        (
            "Lexical baselines",
            ", ".join(f"{name} {number(value)}" for name, value in baselines.items()) or "not measured",
        ),
        ("Ablation sample", f"{results.pairs} test pairs, unmasked accuracy {results.accuracy:.3f}"),
    ]
    return Table("Run settings, and accuracy compared with lexical baselines", ["", ""], [list(row) for row in rows])


def most_needed(results: Results) -> Table:
    """Heads with the largest loss of accuracy when masked."""
    costly = results.heads[results.heads[select.CHANGE] < 0].sort_values([select.CHANGE, "layer", "head"])
    return _extremes("Most needed heads", costly, results)


def most_harmful(results: Results) -> Table:
    """Heads with the largest gain of accuracy when masked."""
    harmful = results.heads[results.heads[select.CHANGE] > 0]
    ranked = harmful.sort_values([select.CHANGE, "layer", "head"], ascending=[False, True, True])
    return _extremes("Most harmful heads", ranked, results)


def _extremes(title: str, ranked: pd.DataFrame, results: Results) -> Table:
    """The first SHOWN of the ranked heads, with the columns of HEAD_COLUMNS."""
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
    """Labelled heads by function, with the score and control of the strongest."""
    rows = []
    for function, heads in results.tables.labels.groupby("function", sort=False):
        ranked = heads.sort_values("difference_low", ascending=False)
        names = [Head.of_row(row).short for _, row in ranked[ranked["is_labelled"]].iterrows()]
        strongest = ranked.iloc[0]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        figures = f"{strongest['score']:.3f}, {strongest['control']:.3f}"
        rows.append([str(function), str(len(names)), f"{', '.join(names[:SHOWN])}{more}" or "none", figures])
    caption = (
        "Heads by function, as layer.head, ranked by lower bound: score minus control exceeds "
        f"{results.tables.label_threshold:g} with its whole 95% interval, on the dev split"
    )
    return Table(caption, ["function", "heads", "which", "strongest: score, control"], rows)


def worst_slices(results: Results) -> Table:
    """The phenomenon with the largest loss by functional group, and those expected; no row without phenomena."""
    sliced = results.slices[results.slices["slice"] == "phenomenon"].dropna(subset=[select.CHANGE])
    ranked = sliced.sort_values(select.CHANGE, kind="stable")
    rows = []
    for function, expected in EXPECTED.items():
        for _, worst in ranked[ranked["group"] == function].head(1).iterrows():
            verdict = "as expected" if worst["value"] in expected else "not as expected"
            change = select.row_estimate(worst).text()
            rows.append([function, str(worst["value"]), change, ", ".join(expected), verdict])
    columns = ["heads masked", "largest loss", "accuracy, relative (95% interval)", "expected", ""]
    return Table("Phenomenon with the largest loss, by function of the heads masked", columns, rows)


def relay_heads(results: Results) -> Table:
    """Relay heads, the strongest first: what their rows cost, and their attention without the term-match heads."""
    rows = [
        [
            Head.of_row(row).name,
            _interval(row, "cls_row_logit_margin_change", "{:+z.3f}"),
            _interval(row, "logit_margin_change", "{:+z.3f}"),
            f"{row['share']:.2f} ({row['chance']:.2f})",
            _interval(row, "share_change", "{:+z.2f}"),
            f"{row['p']:.3f}",
            _interval(row, "entropy_change", "{:+z.3f}"),
        ]
        for _, row in select.relay_heads(results.tables.mediation).iterrows()
    ]
    caption = (
        "Relay heads, chosen and ordered on dev, measured on test: change of the logit margin with their [CLS] row, "
        "and with all their rows masked; share of [CLS]'s attention to terms on shared ones; change of it, and of the "
        "row's entropy, with the term-match heads masked (p: against random groups)"
    )
    columns = ["head", "[CLS] row masked", "all rows masked", "share (chance)", "share, change", "p", "entropy, change"]
    return Table(caption, columns, rows)


def joint_mediation(results: Results) -> Table:
    """Joint mediation of the term-match heads' effect on the logit margin."""
    joint = results.tables.joint_mediation
    rows = [
        [
            f"{row['outputs']}, {'all rows' if row['rows'] == ALL_ROWS else '[CLS] rows'}",
            str(row["heads"]),
            *(_interval(row, name, "{:z.0%}") for name in ("mediated", "restored")),
            *(percent(row[f"{state}_{select.CHANGE}"]) for state in ("indirect", "direct", "ablated")),
        ]
        for _, row in joint.iterrows()
    ]
    total = "not measured"
    if len(joint):
        first = joint.iloc[0]
        total = f"{_interval(first, 'total', '{:+.2f}')}; accuracy {percent(first[f'total_{select.CHANGE}'])}"
    caption = (
        f"Where the effect of the term-match heads on the logit margin passes ({total}): the share mediated by these "
        "outputs, the share restored by them while the term-match heads are masked, and accuracy in either state and "
        "with the outputs ablated"
    )
    columns = ["outputs", "heads", "mediated", "restored", "accuracy, mediated", "accuracy, restored", "ablated"]
    return Table(caption, columns, rows)


def _interval(row: pd.Series, name: str, form: str) -> str:
    if pd.isna(row[name]):
        return "undefined"
    return f"{form} ({form} to {form})".format(row[name], row[f"{name}_low"], row[f"{name}_high"])


def ablation_types(results: Results) -> Table:
    """Heads whose accuracy changes detectably under zero ablation only, with their change under each type."""
    rows = [
        [Head.of_row(row).name, *(percent(row[f"{name}_change"]) for name in ABLATION_TYPES)]
        for _, row in results.heads[results.heads["zero_ablation_only"]].iterrows()
    ]
    caption = "Heads that matter under zero ablation only: relative accuracy change by ablation type"
    return Table(caption, ["head", *ABLATION_TYPES], rows)


def metric_table(finetune: Mapping[str, Any]) -> Table:
    """Metrics of the fine-tuned model on dev and test; undefined ones with their reason."""
    values = {name: number(value) for name, value in finetune.items() if name != "undefined"}
    values |= {name: f"undefined: {reason}" for name, reason in finetune.get("undefined", {}).items()}
    names = [name.removeprefix("test_") for name in finetune if name.startswith("test_")]
    rows = [[name, *(values.get(f"{split}_{name}", number(None)) for split in EVALUATED)] for name in names]
    return Table("Metrics of the fine-tuned model, unmasked", ["metric", *EVALUATED], rows)


def corpus_table(prepare: Mapping[str, Any]) -> Table:
    """Counts of the prepared data."""
    rows = [[name, number(value)] for name, value in prepare.items()]
    return Table("Prepared data", ["count", "value"], rows)


def number(value: Any) -> str:
    """A number as text: integers in full, floats with three decimals, None as "undefined"."""
    if value is None:
        return "undefined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def plain_text(table: Table) -> str:
    """The table as aligned plain text: caption, column names, rows; "none" without rows."""
    if not table.rows:
        return f"{visible(table.caption)}: none"
    lines = [[visible(cell) for cell in row] for row in [table.columns, *table.rows]]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return "\n".join([f"{visible(table.caption)}:", *(_plain_line(row, widths) for row in lines)])


def _plain_line(row: list[str], widths: list[int]) -> str:
    """A line of a table: the first column left-aligned, the others right-aligned."""
    padding = [" " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
    cells = [row[0] + padding[0], *(pad + cell for cell, pad in zip(row[1:], padding[1:], strict=True))]
    return f"  {'  '.join(cells)}".rstrip()
