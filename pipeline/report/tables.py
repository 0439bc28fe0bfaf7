"""The report's tables as text: a caption, column heads, and rows whose first cell names the row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED, VERDICTS
from pipeline.core import paths
from pipeline.core.heads import Head
from pipeline.core.run_names import MODEL_METRICS
from pipeline.findings import select
from pipeline.findings.functional_heads import PLACES
from pipeline.findings.verdict import percent
from pipeline.report.results import Results
from pipeline.report.text import shortened, visible, width
from pipeline.stats.bootstrap import SIGNIFICANCE
from pipeline.stats.measure_sets import GRADER
from pipeline.stats.measures import Measure
from pipeline.tables.dependency import ALL_ROWS

SPLITS = ("train", "dev", "test")
EVALUATED = ("dev", "test")
PEERS = {"bilstm_test_ndcg_at_10": "BiLSTM", "bm25_test_ndcg_at_10": "BM25"}
BASELINES = {"majority class": "test_majority_accuracy", "logistic regression on words": "test_tfidf_accuracy"}
# Function -> the phenomena of the generated corpus that its heads should be needed for most: which words are shared
# decides the lexical ones.
LEXICAL = ("exact", "missing_modifier", "wrong_modifier", "same_category", "high_overlap_trap")
EXPECTED = {"term_match": LEXICAL} | dict.fromkeys(("previous_term", "next_term", "word_order"), ("word_order",))
ENDS = {"low": "at least", "high": "at most"}  # of a 95% interval -> what its column is called
ABLATION_TYPES = ("zero", "mean", "resample")
SHOWN = 10  # heads in a table of extremes
NAMED = ("layer", "half", "function", "lower_except", "user")  # group types that are no draws
GROUP_NAMES = {"layer": "layer {}", "half": "{} half", "lower_except": "lower half except {}", "user": "user group: {}"}
OF_WAY = "% of the way"
NO_VALUE = "–"


@dataclass(frozen=True)
class Table:
    caption: str
    columns: list[str]
    rows: list[list[str]]


def run_table(results: Results) -> Table:
    """The run's settings, and how good the model is beside simpler ones."""
    layers, heads = results.shape
    rows = [
        *results.setting,
        ("Pairs", ", ".join(f"{number(results.prepare.get(f'{split}_pairs'))} {split}" for split in SPLITS)),
        ("Attention heads", f"{layers} layers x {heads} heads = {layers * heads}"),
        *(_grading_quality(results) if results.measures is GRADER else _ranking_quality(results)),
        ("Ablation sample", f"{results.head_pairs} test pairs for single heads, {results.pairs} for groups of heads"),
        ("Single heads masked", _verdict_counts(results)),
        ("Digest of the results", results.digest),
    ]
    caption = f"Run settings, and {results.headline.label} compared with simpler models"
    return Table(caption, ["", ""], [list(row) for row in rows])


def _grading_quality(results: Results) -> list[tuple[str, str]]:
    found = {name: results.finetune[key] for name, key in BASELINES.items() if key in results.finetune}
    others = {"BiLSTM": results.bilstm["test_accuracy"]} | found
    return [
        ("Accuracy", f"{number(results.finetune.get('test_accuracy'))} of test pairs graded right"),
        ("Accuracy of others", ", ".join(f"{name} {number(value)}" for name, value in others.items())),
    ]


def _ranking_quality(results: Results) -> list[tuple[str, str]]:
    own, other = (number(results.finetune.get(name)) for name in MODEL_METRICS[results.measures.kind])
    peers = ", ".join(f"{PEERS[name]} {number(value)}" for name, value in results.peers.items())
    return [("nDCG@10", f"{own} on test (MRR@10 {other})"), ("nDCG@10 of others", peers)]


def _verdict_counts(results: Results) -> str:
    counts = results.heads["verdict"].value_counts()
    named = ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
    return f"by {results.primary.label}: {named}; inert: {results.heads['is_inert'].sum()}"


def needed_summary(results: Results) -> str:
    """The needed heads in a sentence, the most costly first."""
    heads, measure = results.heads, results.primary
    needed = _ranked(heads[heads["verdict"] == NEEDED], measure.to_constant, ascending=False)
    if needed.empty:
        return f"No head is shown to be needed, by {measure.label}."
    names = [Head.of_row(row).short for row in select.records(needed.head(SHOWN))]
    more = f" and {len(needed) - SHOWN} more" if len(needed) > SHOWN else ""
    cost = percent(float(needed.iloc[0][results.headline.change]))
    verb = "is" if len(needed) == 1 else "are"
    return (
        f"{len(needed)} of {len(heads)} heads {verb} needed, by {measure.label}: {', '.join(names)}{more} (layer.head, "
        f"from 0). Without {names[0]}, {results.headline.label} changes by {cost}."
    )


def measure_scales(results: Results) -> Table:
    """Tested measures: unmasked and of the constant model, the size that matters, and how many heads each finds."""
    needed, words = results.heads["verdict"] == NEEDED, results.words
    rows = []
    for measure in results.measures.tested:
        scale, sure = (
            select.scale(results.tables.head_scales, measure),
            results.heads[f"{measure.name}_q"] < SIGNIFICANCE,
        )
        values = [_plain(scale["unmasked"]), _plain(scale["constant"])]
        way = f"{_plain_change(scale['way'], measure)} {'' if measure.is_relative else measure.unit}".rstrip()
        sizes = [NO_VALUE] * 2 if np.isnan(scale["way"]) else [way, _size(scale["margin"], measure)]
        counts = [str(int(sure.sum())), str(int((sure & needed).sum()))]
        rows.append([measure.label, *values, *sizes, f"{measure.better} is better", *counts])
    caption = (
        f"Measures on {results.head_pairs} test pairs. The {words.constant} {words.knows}. "
        f"{results.tables.equivalence_margin:.0%} of the way to it is the size that matters; "
        f"{results.primary.label} decides which heads are needed"
    )
    if results.tables.head_scales["way"].isna().any():
        caption += f". {NO_VALUE}: there is no way to it, as the unmasked model is no better by this measure"
    found = ["heads with q < 0.05", f"of them needed by {results.primary.label}"]
    columns = ["measure", "unmasked", words.constant, "way", "size that matters", "", *found]
    return Table(caption, columns, rows)


def _shares(results: Results, scales: pd.DataFrame) -> tuple[list[str], str]:
    """Columns of the primary measure's share of the way, and at a caption's end why there is none of them.

    Args:
        scales: of the pairs that the table is about.
    """
    measure = results.primary
    if select.beats_constant(scales, measure):
        return [measure.to_constant], ""
    return [], (
        f". No share of the way to the {results.words.constant} is given: unmasked, the model is not shown to be "
        f"better than that one by {measure.label}"
    )


def _plain(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.3f}"


def _size(value: float, measure: Measure) -> str:
    """A size in the unit of the measure's changes."""
    if np.isnan(value):
        return "undefined"
    return f"{value:.1%}" if measure.is_relative else f"{value:.3f} {measure.unit}".rstrip()


def most_needed(results: Results) -> Table:
    """Heads that cost most when masked, by the primary measure."""
    return _extremes("Most needed heads", most_costly(results), results)


def most_costly(results: Results) -> pd.DataFrame:
    """Heads that cost something when masked, by the primary measure, the most costly first."""
    costly = results.heads[results.heads[results.primary.to_constant] > 0]
    return _ranked(costly, results.primary.to_constant, ascending=False)


def most_harmful(results: Results) -> Table:
    """Heads whose masking gains most, by the primary measure."""
    harmful = results.heads[results.heads[results.primary.to_constant] < 0]
    return _extremes("Most harmful heads", _ranked(harmful, results.primary.to_constant, ascending=True), results)


def active_heads(results: Results) -> Table:
    """Heads that surely change predictions by a size that matters and are neither needed nor harmful."""
    measure = results.measures.rank_by
    size = select.size_that_matters(results.tables.head_scales, measure)
    does_much = results.heads[f"{measure.change}_low"] > size
    is_neither = ~results.heads["verdict"].isin([NEEDED, HARMFUL]) & ~results.heads["is_inert"]
    active = results.heads[does_much & is_neither]
    return _extremes("Heads that do much and are neither needed nor harmful", _ranked(active, "rank", True), results)


def inert_heads(results: Results) -> Table:
    """Heads without which predictions surely change less than matters, the least active first."""
    label_free = results.measures.label_free
    ranked = _ranked(results.heads[results.heads["is_inert"]], "rank", ascending=False)
    rows = [
        [Head.of_row(row).name, str(row["rank"]), *(_change(row, measure) for measure in label_free), row["verdict"]]
        for row in select.records(ranked)
    ]
    caption = (
        f"Inert heads: {len(ranked)} of {len(results.heads)}, the least active first; without one the predictions "
        "surely change less than matters, whatever the gold grades"
    )
    return Table(
        caption,
        ["head", f"rank by {results.measures.rank_by.label}", *map(_heading, label_free), "verdict"],
        rows,
    )


def _ranked(heads: pd.DataFrame, column: str, ascending: bool) -> pd.DataFrame:
    return heads.sort_values([column, "layer", "head"], ascending=[ascending, True, True])


def _extremes(title: str, ranked: pd.DataFrame, results: Results) -> Table:
    """The first SHOWN of the ranked heads: the primary measure with its interval, the headline one, what flips."""
    primary, tallies = results.primary, results.words.tallies
    shares, why = _shares(results, results.tables.head_scales)
    beside = [measure for measure in (results.headline, results.measures.rank_by) if measure is not primary]
    rows = [
        [
            Head.of_row(row).short,
            *(row["verdict"], *(percent(row[share]) for share in shares), _change(row, primary)),
            *(_end(row, primary, end) for end in ENDS),
            _plain(row[f"{primary.name}_q"]),
            *(_change(row, measure) for measure in beside),
            *(str(row[tally]) for tally in tallies),
        ]
        for row in select.records(ranked.head(SHOWN))
    ]
    columns = ["head", "verdict", *(f"{primary.label}, {OF_WAY}" for _ in shares), _heading(primary)]
    columns += [*ENDS.values(), "q"]
    columns += [*map(_heading, beside), *results.words.tallied]
    more = f", {SHOWN} of {len(ranked)}" if len(ranked) > SHOWN else ""
    where = f"on {results.head_pairs} test pairs; heads are named layer.head, from 0"
    others = f"{paths.HEADS} and the explorer have the other measures with their intervals"
    return Table(f"{title}{more}: changes against the unmasked model {where}. {others}{why}", columns, rows)


def _heading(measure: Measure) -> str:
    unit = "%" if measure.is_relative else measure.unit
    return f"{measure.label} ({unit})" if unit else measure.label


def _end(row: pd.Series, measure: Measure, end: str) -> str:
    """An end of the interval of the change, in the unit that `_heading` names."""
    return _plain_change(float(row[f"{measure.change}_{end}"]), measure)


def _change(row: pd.Series, measure: Measure) -> str:
    return _plain_change(float(row[measure.change]), measure)


def _plain_change(value: float, measure: Measure) -> str:
    if np.isnan(value):
        return "undefined"
    return percent(value) if measure.is_relative else f"{round(value, 3) + 0.0:+.3f}"


def sure_slices(results: Results) -> Table:
    """Sure effects of single heads on slices of the pairs, the largest first."""
    slices, measure = results.tables.head_slices, results.primary
    shares, why = _shares(results, results.tables.head_scales)
    by = "to_constant" if shares else "change"
    sure = slices[slices["is_sure"]].sort_values(by, key=lambda sizes: -sizes.abs(), kind="stable")
    rows = [
        [
            Head.of_row(row).name,
            *(str(row["slice"]), str(row["value"]), str(row["pairs"])),
            *(percent(row["to_constant"]) for _ in shares),
            _plain_change(float(row["change"]), measure),
        ]
        for row in select.records(sure.head(SHOWN))
    ]
    caption = (
        f"Slices of the pairs on which a head surely changes {measure.label}: the {len(rows)} largest of {len(sure)} "
        f"changes, of {len(slices)} compared; the intervals hold all together with 95%{why}"
    )
    columns = ["head", "slicing", "slice", "pairs", *(f"{measure.label}, {OF_WAY}" for _ in shares), _heading(measure)]
    return Table(caption, columns, rows)


def group_effects(results: Results) -> Table:
    """Named groups by every tested measure, the primary one as a share of the way too."""
    groups, primary, tested = results.groups, results.primary, results.measures.tested
    shares, why = _shares(results, results.tables.group_scales)
    named = groups[groups["group_type"].isin(NAMED)]
    rows = [
        [
            GROUP_NAMES.get(row["group_type"], "{}").format(shortened(str(row["group"]), 20)),
            *(str(row["heads_masked"]), *(percent(row[share]) for share in shares)),
            *(_change(row, measure) for measure in tested),
            "collapsed" if has_collapsed else "",
        ]
        for row, has_collapsed in zip(select.records(named), results.collapsed(named), strict=True)
    ]
    caption = f"Named groups masked, on {results.pairs} test pairs: changes of every measure against the unmasked model"
    caption += why + (f". {results.nothing_to_lose}" if results.nothing_to_lose else "")
    columns = ["heads masked", "number", *(f"{primary.label}, {OF_WAY}" for _ in shares), *map(_heading, tested), ""]
    return Table(caption, columns, rows)


def unlabelled_heads(results: Results) -> Table:
    """Heads that change the predictions of pairs without grades most, with their rank on graded pairs."""
    rank_by, label_free = results.measures.rank_by, results.measures.label_free
    found = results.unlabelled_heads.merge(results.heads[["layer", "head", "rank"]], on=["layer", "head"])
    ranked = found.sort_values([rank_by.change, "layer", "head"], ascending=[False, True, True])
    rows = [
        [
            Head.of_row(row).name,
            *(str(place), str(row["rank"]), *(_change(row, measure) for measure in label_free)),
            "inert" if row["is_inert"] else "",
        ]
        for place, row in enumerate(select.records(ranked.head(SHOWN)), start=1)
    ]
    agreement = (-found[rank_by.change]).rank().corr(found["rank"].rank()) if len(found) > 1 else np.nan
    caption = (
        f"Heads on pairs without grades, ranked by {rank_by.label}; rank correlation (Spearman) of all "
        f"{len(found)} heads with the graded pairs: {_plain(agreement)}; inert: {found['is_inert'].sum()}"
    )
    return Table(caption, ["head", "rank", "rank on graded pairs", *map(_heading, label_free), ""], rows)


def labelled_heads(results: Results) -> Table:
    """Labelled heads by function, with the score and control of the strongest."""
    rows = []
    for function, heads in results.tables.labels.groupby("function", sort=False):
        ranked = heads.sort_values("written_difference_low", ascending=False)
        names = [Head.of_row(row).short for _, row in ranked[ranked["is_labelled"]].iterrows()]
        strongest = ranked.iloc[0]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        figures = [f"{strongest[name]:.2f}" for name in ("score", "control", "relative_write")]
        rows.append([str(function), str(len(names)), f"{', '.join(names[:SHOWN])}{more}" or "none", *figures])
    caption = (
        "Heads by function, as layer.head, that are not idle: score minus control exceeds "
        f"{results.tables.label_threshold:g} with its whole 95% interval, on the dev split; ranked by the lower bound "
        "of this difference times what the head writes (1 as an average head of its layer)"
    )
    return Table(caption, ["function", "heads", "which", "highest score", "its control", "its write"], rows)


def term_match_shift(results: Results) -> Table:
    """Term-match heads by rank: attention to each place before and after fine-tuning, and its change."""
    shift = results.tables.term_match_shift
    rows = [
        [
            Head.of_row(places.iloc[0]).short,
            *(f"{row[phase]:.3f}" for _, row in places.iterrows() for phase in ("before", "after")),
        ]
        for _, places in shift.groupby("rank")
    ]
    caption = (
        "Attention of the term-match heads, layer.head from 0, before and after fine-tuning. Heads are labelled and "
        f"ranked, and the sink is found, on half of the dev queries; this is the other half. {paths.TERM_MATCH_SHIFT} "
        "has the changes with their intervals"
    )
    sinks = set(shift.loc[shift["is_sink"], "function"])
    names = [f"{name} (the sink)" if place in sinks else name for place, name in PLACES.items()]
    return Table(caption, ["head", *(f"{name}, {phase}" for name in names for phase in ("before", "after"))], rows)


def worst_slices(results: Results) -> Table:
    """The phenomenon with the largest loss by functional group, and those expected; no row without phenomena."""
    slices = results.slices[results.slices["measure"] == results.headline.name]
    ranked = slices[slices["slice"] == "phenomenon"].dropna(subset=["change"]).sort_values("change", kind="stable")
    rows = []
    for function, expected in EXPECTED.items():
        for _, worst in ranked[ranked["group"] == function].head(1).iterrows():
            verdict = "as expected" if worst["value"] in expected else "not as expected"
            rows.append([function, str(worst["value"]), percent(worst["change"]), ", ".join(expected), verdict])
    columns = ["heads masked", "largest loss", f"{results.headline.label}, relative", "expected", ""]
    return Table("Phenomenon with the largest loss, by function of the heads masked", columns, rows)


def relay_heads(results: Results) -> Table:
    """Relay heads, the strongest first: what their rows cost, and their attention without the term-match heads."""
    margin = results.measures.margin
    relays = select.relay_heads(results.tables.mediation, margin)
    rows = [
        [
            Head.of_row(row).short,
            *(_number(row[name], "+z.3f") for name in (f"cls_row_{margin.change}", margin.change)),
            *(_number(row[name], ".2f") for name in ("share", "chance")),
            *(_number(row["share_change"], "+z.2f"), _number(row["p"], ".3f")),
            _number(row["entropy_change"], "+z.3f"),
        ]
        for row in select.records(relays.head(SHOWN))
    ]
    more = f", {SHOWN} of {len(relays)}" if len(relays) > SHOWN else ""
    caption = (
        f"Relay heads{more}, chosen and ordered on dev, measured on test: change of the {margin.label} with their "
        "[CLS] row, and with all their rows masked; share of [CLS]'s attention to terms on shared ones; change of it, "
        "and of the row's entropy, with the term-match heads masked (p: against random groups). "
        f"{paths.MEDIATION} has the intervals"
    )
    columns = ["head", "[CLS] row masked", "all rows masked", "share", "chance"]
    columns += ["share, change", "p", "entropy, change"]
    return Table(caption, columns, rows)


def joint_mediation(results: Results) -> Table:
    """Joint mediation of the term-match heads' effect on the margin."""
    joint, headline = results.tables.joint_mediation, results.headline
    shares = [] if joint.empty or joint["mediated"].isna().all() else ["mediated", "restored"]
    rows = [
        [
            f"{row['outputs']}, {'all rows' if row['rows'] == ALL_ROWS else '[CLS] rows'}",
            str(row["heads"]),
            *(_number(row[name], "z.0%") for name in shares),
            *(percent(row[f"{state}_{headline.change}"]) for state in ("indirect", "direct", "ablated")),
        ]
        for _, row in joint.iterrows()
    ]
    total = "not measured"
    if len(joint):
        first = joint.iloc[0]
        total = f"{_interval(first, 'total', '{:+.2f}')}; {headline.label} {percent(first[f'total_{headline.change}'])}"
    caption = (
        f"Where the effect of the term-match heads on the {results.measures.margin.label} passes ({total}): the share "
        "mediated by these outputs, the share restored by them while the term-match heads are masked, and "
        f"{headline.label} in either state and with the outputs ablated"
    )
    if len(joint) and not shares:
        caption += ". No share is given: the effect itself is not surely different from 0"
    states = [f"{headline.label}, {state}" for state in ("mediated", "restored")]
    columns = ["outputs", "heads", *shares, *states, "ablated"]
    return Table(caption, columns, rows)


def _number(value: float, form: str) -> str:
    return "undefined" if pd.isna(value) else f"{value:{form}}"


def _interval(row: pd.Series, name: str, form: str) -> str:
    if pd.isna(row[name]):
        return "undefined"
    return f"{form} ({form} to {form})".format(row[name], row[f"{name}_low"], row[f"{name}_high"])


def ablation_types(results: Results) -> Table:
    """Heads whose primary measure changes detectably under zero ablation only, with their change under each type."""
    rows = [
        [Head.of_row(row).name, *(percent(row[f"{name}_to_constant"]) for name in ABLATION_TYPES)]
        for row in select.records(results.heads[results.heads["zero_ablation_only"]])
    ]
    caption = f"Heads that matter under zero ablation only: {results.primary.label}, {OF_WAY}, by ablation type"
    return Table(caption, ["head", *ABLATION_TYPES], rows)


def metric_table(finetune: Mapping[str, Any]) -> Table:
    """Metrics of the fine-tuned model on dev and test; undefined ones with their reason."""
    values = {name: number(value) for name, value in finetune.items() if name != "undefined"}
    values |= {name: f"undefined: {reason}" for name, reason in finetune.get("undefined", {}).items()}
    names = [name.removeprefix("test_") for name in finetune if name.startswith("test_")]
    rows = [[name, *(values.get(f"{split}_{name}", number(None)) for split in EVALUATED)] for name in names]
    caption = "Metrics of the fine-tuned model, unmasked"
    if "log_loss" in names:
        caption += "; log_loss before its temperature is taken out"
    return Table(caption, ["metric", *EVALUATED], rows)


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
