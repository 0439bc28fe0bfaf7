"""Example results of every stage, as the report and the comparison take them.

A frame has the columns of its table in `pipeline.tables`; what an example does not give is filled in by kind. `of` says
whose measures, a grader's or a ranker's: a headline change of the one is as large a share of the way as of the other.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED, NO_EFFECT, UNDECIDED
from pipeline.compare.run_results import CHANGE, TO_CONSTANT, RunResults
from pipeline.core.heads import every_head
from pipeline.core.schemas import Column, Table
from pipeline.findings.select import WHOLE, Tables
from pipeline.findings.wording import WORDINGS
from pipeline.report.results import ExamplePair, PruningResults, Results
from pipeline.stats.measure_sets import GRADER, MeasureSet
from pipeline.stats.measures import Measure
from pipeline.tables import attention, dependency, grading, group_ablation, head_ablation, pruning

FUNCTIONS = ["term_match", "segmentation", "previous_term", "next_term", "self", "cls", "sep", "cross_text", "entropy"]
CHANCES = dict(zip(FUNCTIONS, [0.06, 0.08, 0.07, 0.07, 0.04, 0.04, 0.08, 0.5, 1.0], strict=True))
CONTROLLED = ("term_match", "segmentation", "word_order")
PAIRS, HEAD_PAIRS, BASELINE = 400, 600, 0.9
MARGIN = 0.02  # share of the way from which a change matters
ENGLISH_TEXT = "[CLS] cheap train from york to bath [SEP] train tickets york to bath , cheap fares daily [SEP]"
CHINESE_TEXT = "[CLS] 上 海 到 北 京 高 铁 票 [SEP] 北 京 到 上 海 的 高 铁 车 票 价 格 查 询 与 预 订 [SEP]"
ENGLISH, CHINESE = ENGLISH_TEXT.split(), CHINESE_TEXT.split()


def example(table: Table, rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """The table's frame of rows that give some of its columns; other numbers are 0, an estimate's interval is a point.

    Raises ValueError, TypeError: a row does not fit the table.
    """
    given = pd.DataFrame(rows)
    columns = {
        column.name: _filled(column, given)
        for column in table.expanded(list(given.columns))
        if column.name in given or column.presence != "optional"
    }
    frame = pd.DataFrame(columns)[[*columns]]
    unknown = set(given) - set(columns)
    if unknown:
        raise ValueError(f"{table.path} has no columns {sorted(unknown)}")
    table.check(frame)
    return frame


def _filled(column: Column, given: pd.DataFrame) -> pd.Series:
    """The column as given, else its estimate's, else what stands for nothing in its kind."""
    nothing = {"str": "" if column.missing else (*column.values, "-")[0], "Int64": pd.NA}.get(column.kind, 0)
    name = column.name if column.name in given else column.name.removesuffix("_low").removesuffix("_high")
    values = given[name] if name in given else pd.Series(nothing, index=given.index)
    return values if column.kind == "int64 or float64" else values.astype(column.kind)


def write(folder: Path, table: Table, frame: pd.DataFrame) -> None:
    """Write the table below another folder than the current one."""
    replace(table, path=folder / table.path).write(frame)


# Measure -> its value unmasked, and that of the constant grader.
SCALE = {
    "accuracy": (BASELINE, 0.3),
    "log_loss": (0.3, 1.5),
    "logit_margin": (2.0, -0.3),
    "qwk": (0.93, 0.0),
    "kl_divergence": (0.0, 0.9),
    "changed_predictions": (0.0, 0.6),
    "ndcg_at_10": (BASELINE, 0.3),
    "mrr_at_10": (0.85, 0.3),
    "pairwise_accuracy": (0.93, 0.5),
    "pairwise_log_loss": (0.2, 0.7),
    "score_margin": (2.0, 0.0),
    "kendall_distance": (0.0, 0.5),
    "top_title_changed": (0.0, 0.7),
}
WIDTH = 0.015  # of an interval to either side, as a relative headline change
NARROW = 0.004  # of a single head's


def way(measure: Measure) -> float:
    """Change of the measure from the unmasked model to the constant grader."""
    unmasked, constant = SCALE[measure.name]
    return constant / unmasked - 1 if measure.is_relative else constant - unmasked


def share_of_way(change: float) -> float:
    """A relative headline change as a share of the way, the same of both kinds."""
    return change / way(GRADER.headline)


def change_columns(measure: Measure, name: str, change: float, low: float, high: float) -> dict[str, float]:
    """Estimate, in the measure's unit, of what changes the headline so: as much of every measure's way."""
    shares = np.array([share_of_way(number) for number in (change, low, high)])
    if measure.is_distance:
        shares = np.abs(shares)
    value, *ends = shares * way(measure)
    return {name: value, f"{name}_low": min(ends), f"{name}_high": max(ends)}


def measures(
    change: float, width: float = WIDTH, p: float = 0.6, q: float = 0.9, of: MeasureSet = GRADER
) -> dict[str, float]:
    """The measures of one intervention that changes the headline relatively by `change`, `width` to either side."""
    columns: dict[str, float] = {}
    for measure in of.tested:
        changed = change_columns(measure, measure.change, change, change - width, change + width)
        share = abs(share_of_way(change)) if measure.is_distance else share_of_way(change)
        unmasked, constant = SCALE[measure.name]
        value = {} if measure.is_distance else {measure.name: unmasked + share * (constant - unmasked)}
        columns |= {**value, **changed, measure.to_constant: share}
        columns |= {f"{measure.name}_p": p, f"{measure.name}_q": q}
    counts = (np.maximum(0, np.round(-change * 300)) + 2, np.maximum(0, np.round(change * 300)) + 2)
    columns |= dict(zip(WORDINGS[of.kind].tallies, counts, strict=True))
    return columns | {"mae": 0.12 - change, "mae_change": -change} if of is GRADER else columns


def scales_frame(
    table: Table = group_ablation.SCALES, beats_constant: bool = True, of: MeasureSet = GRADER
) -> pd.DataFrame:
    """The measures' scales, of a model that surely beats the constant one or of one that may not."""
    rows = []
    for measure in of.tested:
        unmasked, constant = SCALE[measure.name]
        ends = sorted([0.9 * way(measure), (1.1 if beats_constant else -0.1) * way(measure)])
        named = {name: getattr(measure, name) for name in ("label", "unit", "better", "needs_grades")}
        values = {"unmasked": unmasked, "constant": constant, "way": way(measure), "way_low": ends[0]}
        size = {"way_high": ends[1], "margin": MARGIN * abs(way(measure))}
        rows.append({"measure": measure.name, **named, **values, **size})
    return example(table, rows)


def head_row(
    layer: int, head: int, change: float, width: float = NARROW, of: MeasureSet = GRADER, **given: object
) -> dict:
    """A head that changes the headline relatively by `change`, and its verdict; `given` replaces columns."""
    low, high = sorted(share_of_way(end) for end in (change - width, change + width))
    decided = low > MARGIN or high < -MARGIN
    within = max(abs(low), abs(high)) <= MARGIN
    verdict = NEEDED if low > MARGIN else HARMFUL if high < -MARGIN else NO_EFFECT if within else UNDECIDED
    return {
        "layer": layer,
        "head": head,
        **(measures(change, width, 0.0001, 0.002, of) if decided else measures(change, width, of=of)),
        "verdict": verdict,
        "rank": 1,
        "is_inert": within,
        "detectable_to_constant": 0.027,
        **{f"{name}_to_constant": share * share_of_way(change) for name, share in ABLATION_TYPES.items()},
        "zero_ablation_only": change < -0.05,
        "gradient_importance": abs(change) + 0.01,
        **given,
    }


ABLATION_TYPES = {"zero": 1.0, "mean": 0.5, "resample": 0.8}  # -> share of a head's effect


def heads_frame(layers: int = 6, heads: int = 12, seed: int = 0, of: MeasureSet = GRADER) -> pd.DataFrame:
    """Every head about 0, but one that costs 5.2% and one that costs 2.8%."""
    changes = np.random.default_rng(seed).normal(0, 0.003, (layers, heads)).clip(-0.009, 0.009)
    changes[layers // 2, 1], changes[-1, 0] = -0.052, -0.028
    return ranked_heads((head_row(*head, float(change), of=of) for head, change in np.ndenumerate(changes)), of)


def ranked_heads(rows: Iterable[Mapping[str, object]], of: MeasureSet = GRADER) -> pd.DataFrame:
    """The frame of `head_row`s, with the heads' ranks."""
    frame = example(head_ablation.HEADS[of.kind], rows)
    return frame.assign(rank=frame[of.rank_by.change].rank(ascending=False, method="first").astype(int))


def head_slices_frame(layers: int = 6, heads: int = 12, of: MeasureSet = GRADER) -> pd.DataFrame:
    """Every head on two slicings: the needed one surely on word_order, the first one surely helped on synonym."""
    primary = of.default_primary
    slicings = {"phenomenon": ("exact", "synonym", "word_order"), "grade": ("1", "5")}
    sure = {(layers // 2, 1, "word_order"): 0.4, (0, 0, "synonym"): -0.1}
    rows = [
        {"layer": layer, "head": head, "slice": slicing, "value": value, "pairs": 40 + number, "queries": 20}
        | {"measure": primary.name, "to_constant": share, "is_sure": (layer, head, value) in sure}
        | {f"change{end}": (share + add) * way(primary) for end, add in (("", 0), ("_low", -0.05), ("_high", 0.05))}
        for slicing, values in slicings.items()
        for number, value in enumerate(values)
        for layer, head in np.ndindex(layers, heads)
        for share in [sure.get((layer, head, value), 0.01)]
    ]
    return example(head_ablation.HEAD_SLICES, rows)


def unlabelled_heads_frame(layers: int = 6, heads: int = 12, of: MeasureSet = GRADER) -> pd.DataFrame:
    """The heads of `heads_frame` on pairs without grades, where each does half as much."""
    graded, table = heads_frame(layers, heads, of=of), head_ablation.UNLABELLED_HEADS[of.kind]
    names = {column.name for column in table.columns}
    rows = [
        {"layer": row["layer"], "head": row["head"], "is_inert": row["is_inert"]}
        | {
            name: value
            for name, value in measures(0.5 * row[of.headline.change], NARROW, of=of).items()
            if name in names
        }
        for row in graded.to_dict("records")
    ]
    return example(table, rows)


def curve_frame(of: MeasureSet = GRADER) -> pd.DataFrame:
    rows = [(1, 0.9, 0.8, 0.9), (2, 0.4, 0.88, 0.94)]
    scores = ("dev_accuracy", "dev_qwk") if of is GRADER else ("dev_pairwise_accuracy", "dev_ndcg_at_10")
    names = ("epoch", "train_loss", *scores)
    return example(grading.CURVE[of.kind], [dict(zip(names, row, strict=True)) for row in rows])


def group_row(
    group_type: str,
    group: str,
    change: float,
    replicate: int = 0,
    k: int | None = None,
    masked: int = 5,
    width: float = WIDTH,
    of: MeasureSet = GRADER,
) -> dict:
    """A group that changes the headline relatively by `change`; where that is 90% of the way, it has collapsed."""
    counts = [0, 0, PAIRS, 0, 0] if share_of_way(change) >= 0.9 else [90, 60, 100, 70, 80]
    predicted = {f"predicted_{grade}": count for grade, count in enumerate(counts)} if of is GRADER else {}
    return {
        "group_type": group_type,
        "group": group,
        "replicate": replicate,
        "k": k,
        "heads_masked": masked,
        "members": " ".join(f"1.{head}" for head in range(masked)),
        **measures(change, width, of=of),
        **predicted,
    }


def groups_frame(layers: int = 6, seed: int = 0, of: MeasureSet = GRADER) -> pd.DataFrame:
    """All group types, with changes near those that the article reports."""
    noise = np.random.default_rng(seed).normal
    row = partial(group_row, of=of)
    rows = [row("unmasked", "unmasked", 0.0, masked=0)]
    losses = [0.0, 0.01, 0.03, 0.07, 0.14, 0.25, 0.42, 0.6, 0.72]
    for share, loss in enumerate(losses, start=1):
        rows += [
            row("random_share", str(share / 10), -loss + noise(0, 0.1 * loss), d, masked=7 * share) for d in range(5)
        ]
    rows += [row("layer", str(layer), noise(-0.02, 0.01), masked=12) for layer in range(layers)]
    if layers > 1:
        rows += [row("half", "lower", -0.63, masked=36)]
        rows += [row("half", "upper", -0.31, masked=36)]
    functions = {
        "term_match": -0.455,
        "segmentation": -0.08,
        "previous_term": -0.12,
        "next_term": -0.1,
        "word_order": -0.2,
    }
    rows += [row("function", name, change) for name, change in functions.items()]
    spared = functions if layers > 1 else {}
    rows += [row("lower_except", name, min(change + 0.4, -0.02) - 0.1) for name, change in spared.items()]
    rows += [row("random_k", "random", float(noise(-0.01, 0.01)), number) for number in range(10)]
    for name in CONTROLLED:
        rows += [row("layer_matched", name, float(noise(-0.03, 0.02)), number) for number in range(10)]
        rows += [row("top_k", name, functions[name] * k / 5, k=k, masked=k) for k in range(1, 6)]
    for name, steepness in (("least_important_first", 0.6), ("most_important_first", 1.2)):
        rows += [row("removal", name, -loss * steepness, masked=7 * step) for step, loss in enumerate(losses, 1)]
    rows += [row("user", "<b>mine</b> & $x$", -0.03)]
    return example(group_ablation.GROUPS[of.kind], rows)


def controls_frame(
    changes: Mapping[str, float] | None = None,
    p: float = 1 / 31,
    median: float = -0.02,
    parts: Sequence[tuple[str, str]] = (),
    of: MeasureSet = GRADER,
    **given: object,
) -> pd.DataFrame:
    """Functional groups beside random ones of either kind, by every measure, on all pairs and on these slices."""
    changes = changes or dict.fromkeys(CONTROLLED, -0.3)
    ranks = {"random_groups": 30, "percentile": 0.0 if p < 0.5 else 0.6, "p": p, "overlap": 0.1}
    compared = [("layer_matched", False, WHOLE), ("layer_matched", True, WHOLE), ("unrestricted", False, WHOLE)]
    rows = [
        {"group": group, "null_type": kind, "slice": part[0], "value": part[1], "without_strongest": spared}
        | {"measure": measure.name, "to_constant": share_of_way(change), **ranks}
        | {name: share_of_way(number) * way(measure) for name, number in figures.items()}
        | given
        for group, change in changes.items()
        for figures in [{"change": change, "median": median, "lowest": median - 0.05, "highest": 0.01}]
        for measure in of.tested
        for kind, spared, part in [*compared, *(("layer_matched", True, part) for part in parts)]
    ]
    return example(group_ablation.CONTROLS, rows)


def contrasts_frame(
    rows: Mapping[str, tuple[float, float, float]] | None = None, random_groups: int = 5, of: MeasureSet = GRADER
) -> pd.DataFrame:
    """Averages and differences by every measure: name -> relative headline change, low, high."""
    rows = rows or {
        "random_share 0.1": (0.0, -0.005, 0.005),
        "random_share 0.5": (-0.14, -0.2, -0.1),
        "random_share 0.9": (-0.72, -0.76, -0.68),
        "random_k random": (-0.003, -0.008, 0.005),
        "lower_minus_upper": (-0.32, -0.4, -0.25),
        "lower_except_term_match_minus_lower": (0.4, 0.3, 0.5),
    }
    table = [
        {"name": name, "measure": measure.name, "random_groups": random_groups}
        | {"to_constant": share_of_way(figures[0]), **change_columns(measure, "change", *figures)}
        for name, figures in rows.items()
        for measure in of.tested
    ]
    return example(group_ablation.CONTRASTS, table)


def labels_frame(layers: int = 6, heads: int = 12) -> pd.DataFrame:
    """One head a function labelled with it, in layer 0 or 1."""
    rows = []
    for layer, head in np.ndindex(layers, heads):
        for index, function in enumerate(FUNCTIONS):
            does = (layer, head) == (index % 2, index % heads)
            control = min(CHANCES[function], 0.6)  # of entropy: a threshold, below its chance
            score = control + (0.3 if does else 0.01)
            ends = {"": 0.0, "_low": -0.02, "_high": 0.02}
            names = ("difference", "written_difference")  # every head writes as much as the average one
            bounds = {f"{name}{end}": score - control + width for name in names for end, width in ends.items()}
            rows.append(
                {"layer": layer, "head": head, "function": function, "score": score, "control": control}
                | {**bounds, "relative_write": 1.0, "shuffled": np.nan, "is_labelled": does}
            )
    return example(attention.LABELS, rows)


GREW, SHRANK, STAYED = (0.1, 0.08, 0.12), (-0.1, -0.12, -0.08), (0.0, -0.02, 0.02)
SHIFT = {"term_match": GREW, "self": SHRANK, "cls": SHRANK, "sep": STAYED}


def term_match_shift_frame(
    heads: Sequence[Mapping[str, tuple[float, float, float]]] = (SHIFT, SHIFT), sink: str = "cls"
) -> pd.DataFrame:
    """Term-match heads of layer 0, the surest first: place -> change, low, high; from 0.5."""
    rows = [
        {"layer": 0, "head": number, "rank": number + 1, "function": name, "is_sink": name == sink}
        | {"before": 0.5, "after": 0.5 + change, "change": change, "change_low": low, "change_high": high}
        for number, changes in enumerate(heads)
        for name, (change, low, high) in changes.items()
    ]
    names = [column.name for column in attention.TERM_MATCH_SHIFT.columns if column.presence == "always"]
    return example(attention.TERM_MATCH_SHIFT, rows) if rows else pd.DataFrame(columns=names)


def slices_frame(of: MeasureSet = GRADER) -> pd.DataFrame:
    rows = [
        slice_rows(group, value, -0.1 * number, of=of)
        for group in CONTROLLED
        for number, value in enumerate(("exact", "synonym", "word_order"))
    ]
    return example(group_ablation.SLICES, itertools.chain.from_iterable(rows))


def slice_rows(
    group: str,
    value: str,
    change: float,
    width: float = WIDTH,
    slicing: str = "phenomenon",
    of: MeasureSet = GRADER,
) -> list[dict]:
    """A group's effect on the pairs of one slice, by every measure."""
    named = {"group_type": "function", "group": group, "slice": slicing, "value": value, "pairs": 40, "queries": 20}
    return [
        {**named, "measure": measure.name, "to_constant": share_of_way(change)}
        | change_columns(measure, "change", change, change - width, change + width)
        for measure in of.tested
    ]


def head_embedding_frame(layers: int = 6, heads: int = 12) -> pd.DataFrame:
    """Heads about a circle; those of `labels_frame` carry their function."""
    rows = []
    for number, (layer, head) in enumerate(np.ndindex(layers, heads)):
        function = next((one for i, one in enumerate(FUNCTIONS) if (layer, head) == (i % 2, i % heads)), np.nan)
        x, y = float(np.cos(number)) * number, float(np.sin(number)) * number
        coordinates = {"mds_1": x, "mds_2": y, "explained_1": 0.4, "explained_2": 0.2}
        rows.append({"layer": layer, "head": head, **coordinates, "function": function})
    return example(attention.HEAD_EMBEDDING, rows)


def mediation_frame(layers: int = 6, heads: int = 12, of: MeasureSet = GRADER) -> pd.DataFrame:
    """The upper half; its first head is a relay head that looks away from shared terms, and all the more masked."""
    rows, margin = [], of.margin.change
    for layer, head in np.ndindex(layers, heads):
        if layer >= layers // 2:
            relay = (layer, head) == (layers // 2, 0)
            change = -0.2 if relay else 0.0
            rows.append(
                {"layer": layer, "head": head, "is_relay_head": relay, "share": 0.3, "chance": 0.5, "difference": -0.2}
                | {"difference_low": -0.22, "difference_high": -0.18, "share_change": change, "random_median": 0.01}
                | {"share_change_low": change - 0.02, "share_change_high": change + 0.02, "random_groups": 30}
                | {"percentile": 1.0, "p": 1 / 31 if relay else 0.5, "total": -2.0, "indirect": change, "direct": -1.2}
                | {"mediated": 0.4, "entropy": 0.5, "entropy_change": -change / 4, "random_entropy_median": 0.01}
                | {f"dev_cls_row_{margin}": change, f"cls_row_{margin}": change / 2}
                | {margin: change, "dev_q": 0.001 if relay else 0.5}
            )
    return example(dependency.MEDIATION[of.kind], rows)


def joint_mediation_frame(
    mediated: float = 0.6, above_others: float = 0.5, width: float = 0.1, of: MeasureSet = GRADER
) -> pd.DataFrame:
    """One relay head through which most of the effect passes, the other candidates, and their layer."""
    names = [("relay heads", "all", 1), ("relay heads", "[CLS]", 1), ("other candidates", "[CLS]", 7)]
    rows = []
    for outputs, kind, heads in [*names, ("layer 1", "[CLS]", 8)]:
        relay = outputs == "relay heads"
        share, more = (mediated, above_others) if relay else (mediated - above_others, 0.0)
        rows.append(
            {"outputs": outputs, "rows": kind, "heads": heads, "total": -2.0, "indirect": -2 * share}
            | {"direct": -2 * (1 - share), "mediated": share, "restored": share, "above_others": more}
            | {"mediated_low": share - width, "mediated_high": share + width}
            | {"above_others_low": more - width, "above_others_high": more + width}
            | {f"total_{of.headline.change}": -0.5, f"indirect_{of.headline.change}": -0.5 * share}
        )
    return example(dependency.JOINT_MEDIATION[of.kind], rows)


def edges_frame(layers: int = 6, heads: int = 12) -> pd.DataFrame:
    """Every head of the first layer to the head of its number in each later one."""
    rows = [
        {"source_layer": 0, "source_head": head, "target_layer": layer, "target_head": head}
        | {"js": 0.02 * (head + 1), "shared_term_share_change": 0.1 * (-1) ** head, "p": 0.001, "q": 0.01}
        for layer in range(1, layers)
        for head in range(heads)
    ]
    return example(dependency.EDGES, rows)


def example_record(tokens: list[str]) -> dict:
    even, uneven = np.full(len(tokens), 1 / len(tokens)), np.arange(len(tokens)) / sum(range(len(tokens)))
    words = {"query": " ".join(tokens[1:5]), "title": " ".join(tokens[6:-1]), "grade": 3, "layer": 3, "head": 0}
    special = {"[CLS]": "[CLS]", "[SEP]": "[SEP]", ",": "punctuation"}
    kinds = [special.get(token, "shared term" if tokens.count(token) > 1 else "other term") for token in tokens]
    return words | {"tokens": tokens, "kinds": kinds, "unmasked": even.tolist(), "masked": uneven.tolist()}


def tables(layers: int = 6, heads: int = 12, /, of: MeasureSet = GRADER, **changed: object) -> Tables:
    frames = {
        "heads": heads_frame(layers, heads, of=of),
        "head_scales": scales_frame(head_ablation.SCALES, of=of),
        "head_slices": head_slices_frame(layers, heads, of),
        "groups": groups_frame(layers, of=of),
        "group_scales": scales_frame(of=of),
        "controls": controls_frame(of=of),
        "contrasts": contrasts_frame(of=of),
        "slices": slices_frame(of),
        "labels": labels_frame(layers, heads),
        "term_match_shift": term_match_shift_frame(),
        "mediation": mediation_frame(layers, heads, of),
        "joint_mediation": joint_mediation_frame(of=of),
    }
    settings = {
        "measures": of,
        "primary": of.default_primary,
        "largest_gains": (1.5, 3.0),
        "grades": ["1", "2", "3", "4", "5"],
        "label_threshold": 0.05,
    }
    return Tables(**{**frames, **settings, "equivalence_margin": MARGIN, **changed})


def profiles_frame(layers: int = 6, heads: int = 12, seed: int = 0) -> pd.DataFrame:
    """Scores about chance, one strong head a function in layer 0 or 1; term_match grows, self and sep shrink."""
    random = np.random.default_rng(seed)
    moves = {"term_match": 1.2, "self": 0.8, "sep": 0.9}
    rows = []
    for index, function in enumerate(FUNCTIONS):
        before = (
            random.beta(2, 2 / CHANCES[function], (layers, heads))
            if function != "entropy"
            else random.beta(6, 2, (layers, heads))
        )
        before[index % min(2, layers), index % heads] = 0.6
        after = np.clip(before * moves.get(function, 1.02), 0, 1)
        for phase, scores in (("before", before), ("after", after)):
            rows += [
                {
                    "layer": layer,
                    "head": head,
                    "function": function,
                    "phase": phase,
                    "score": score,
                    "chance": CHANCES[function],
                }
                for (layer, head), score in np.ndenumerate(scores)
            ]
    return example(attention.PROFILES, rows)


def example_pair(tokens: list[str], layers: int = 6, heads: int = 12, seed: int = 0, **texts: str) -> ExamplePair:
    random = np.random.default_rng(seed)
    size = len(tokens)
    before, after = (random.dirichlet(np.full(size, 0.2), (layers, heads, size)).astype(np.float16) for _ in range(2))
    words = {"query": " ".join(tokens[1:5]), "title": " ".join(tokens[6:-1])} | texts
    segment = [-1, *[0] * (size // 2 - 1), *[1] * (size - size // 2 - 1), -1]
    return ExamplePair(grade=3, tokens=tokens, segment=segment, before=before, after=after, **words)


FINETUNE = {
    "grader": {"test_accuracy": 0.9, "test_qwk": 0.93, "dev_accuracy": 0.91},
    "ranker": {"test_ndcg_at_10": 0.9, "test_mrr_at_10": 0.95, "test_bm25_ndcg_at_10": 0.7, "dev_ndcg_at_10": 0.91},
}


def pruning_study() -> dict[str, Any]:
    """A study of two seeds, in which 36 heads go and calls take half as long."""
    rung = {"heads_removed": 36, "blocks_removed": 0, "parameters_removed": 0.17, "change": -0.001, "worst": -0.006}
    beside = [("search", -0.001), ("random", -0.05), ("random", -0.04), ("not_recovered", -0.03), ("whole", 0.002)]
    seed = {
        "seed": 1,
        "device": "a GPU",
        "measure": "accuracy",
        "queries": 1000,
        "pairs": 6000,
        "whole": 0.91,
        "whole_trained": 0.912,
        "confirmed": True,
        "heads": 72,
        "parameters_removed": 0.17,
        "ladder": [{**rung, "passed": True, "failing": []}, {**rung, "passed": False, "failing": ["all all"]}],
        "beside": [
            {"chosen_by": name, "heads_removed": 36 if name != "whole" else 0, "change": change, "divergence": 0.02}
            for name, change in beside
        ],
        "removed_heads": [[layer, head] for layer in range(3) for head in range(12)],
    }
    other = {**seed, "seed": 2, "removed_heads": [[layer, head] for layer in range(2, 5) for head in range(12)]}
    latency = [
        {"model": model, "runtime": runtime, "threads": threads, "batch": batch, "p50_ms": 8.0 / part, "p95_ms": 9.0}
        for threads in (1, 2)
        for batch in (1, 8, 32)
        for model, part in (("full", 1), ("small", 2))
        for runtime in ("torch", "onnxruntime")
    ]
    return {
        "data": "generated en",
        "model": "embedded",
        "machine": "a processor; torch 2",
        "note": "Made in two parts.",
        "margin": 0.01,
        "epochs": 3,
        "learning_rate": 1e-4,
        "targets": "predictions",
        "search_pairs": 300,
        "seeds": [seed, other],
        "latency": latency,
        "sizes": {"full": 90_000_000, "small": 80_000_000},
        "onnx_difference": {"full": 1e-6, "small": 2e-6},
    }


def pruning_results(layers: int = 6, heads: int = 12, of: MeasureSet = GRADER) -> PruningResults:
    """Two sizes, of which the second fails on a slice; one head goes, one is uncertain, one is protected."""
    size = {"queries": 78, "change": -0.001, "worst": -0.009, "margin": 0.02, "passed": True}
    first = {"rung": 0, "heads_removed": 1, "blocks_removed": 2, "parameters_removed": 0.05, "divergence": 0.001}
    second = {"rung": 1, "heads_removed": 2, "blocks_removed": 4, "parameters_removed": 0.1, "divergence": 0.01}
    whole, part = {"slice": "all", "value": "all"}, {"slice": "kind", "value": "hard", "margin": 0.1}
    ladder = pd.DataFrame(
        [
            {**first, **size, **whole},
            {**first, **size, **part},
            {**second, **size, **whole},
            {**second, **size, **part, "worst": -0.15, "passed": False},
        ]
    )[[column.name for column in pruning.LADDER.columns]]
    chosen = ["search", *["random"] * 5, *["layer_matched"] * 5, "magnitude"]
    controls = pd.DataFrame({"chosen_by": chosen, "replicate": [0, *range(5), *range(5), 0]})
    controls = controls.assign(heads_removed=1, blocks_removed=2, pairs=450, change=-0.01, divergence=0.02)
    decisions = {(0, 0): "remove", (0, 1): "uncertain", (1, 0): "protected"}
    decided = [
        {"layer": layer, "head": head, "decision": decisions.get((layer, head), "keep"), "reason": "so it is"}
        for layer, head in every_head(layers, heads)
    ]
    decided = [{**head, "frequency": float(head["decision"] == "remove")} for head in decided]
    pruning.LADDER.check(ladder)
    pruning.PRUNING_CONTROLS.check(controls)
    metrics = {"confirmed": 1, "pairs": 1500, "pairs_needed": 600, "parameters_removed": 0.05, "blocks_removed": 2}
    metrics |= {of.label_free[-1].name: 0.03}
    return PruningResults(ladder, controls, pd.DataFrame(decided), metrics, of.headline, 0.02)


def results(
    layers: int = 6,
    heads: int = 12,
    pairs: list[ExamplePair] | None = None,
    example_heads: int = 1,
    of: MeasureSet = GRADER,
) -> Results:
    return Results(
        setting=[("Data", "generated, en"), ("Model", "embedded"), ("Fine-tuning", "2 epochs at most")],
        grades=["1", "2", "3", "4", "5"],
        pairs=PAIRS,
        tables=tables(layers, heads, of=of),
        unlabelled_heads=unlabelled_heads_frame(layers, heads, of),
        head_embedding=head_embedding_frame(layers, heads),
        pruning=pruning_results(layers, heads, of),
        edges=edges_frame(layers, heads),
        example_cls_attention=[example_record(ENGLISH)],
        profiles=profiles_frame(layers, heads),
        curve=curve_frame(of),
        prepare={"train_pairs": 4500, "dev_pairs": 900, "test_pairs": 1500, "rejected_duplicate": 3},
        finetune=FINETUNE[of.kind] | {"converged": 1, "undefined": {}},
        bilstm={"test_accuracy": 0.88, "test_ndcg_at_10": 0.85, "best_epoch": 5, "converged": 1},
        attention={"dev_pairs": 900, "similarity_pairs": 300, "term_match_pairs": 800},
        head_ablation={"queries": 78, "pairs": HEAD_PAIRS, "largest_gain": 1.5, "largest_gain_by_chance": 3.0},
        example_pairs=[example_pair(ENGLISH, layers, heads)] if pairs is None else pairs,
        example_heads=example_heads,
    )


def run_heads_frame(effects, needed: Sequence[tuple[int, int]] = (), below=0.02, above=0.02) -> pd.DataFrame:
    """Effects [layer, head] as `RunResults.heads`; the primary measure's is the loss of the headline one.

    Args:
        below, above: how far the ends of the effects' intervals lie from them, [layer, head] or the same of all.
    """
    effects = np.asarray(effects, dtype=float)
    rows = [
        (layer, head, effect, -effect, NEEDED if (layer, head) in needed else NO_EFFECT)
        for (layer, head), effect in np.ndenumerate(effects)
    ]
    frame = pd.DataFrame(rows, columns=["layer", "head", CHANGE, TO_CONSTANT, "verdict"])
    ends = {f"{CHANGE}_low": (effects - below).ravel(), f"{CHANGE}_high": (effects + above).ravel()}
    return frame.assign(**ends)


def run_results(
    name: str,
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    heads: pd.DataFrame | None = None,
    labels: Sequence[tuple[int, int, str]] = (),
    verdicts: Mapping[str, str] | None = None,
) -> RunResults:
    """A run of two layers of two heads, unless others are given."""
    frame = pd.DataFrame(labels, columns=["layer", "head", "function"])
    frame = frame.astype({"layer": int, "head": int, "function": str})
    heads = run_heads_frame(np.zeros((2, 2))) if heads is None else heads
    return RunResults(name, params or {}, metrics or {}, heads, frame, verdicts or {})
