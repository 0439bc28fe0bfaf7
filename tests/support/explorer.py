"""Example inputs of the explorer: a few pairs, logits of every mask, and tables whose tallies follow from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.explorer.build import ExplorerInputs
from pipeline.report.explorer.contract import Explorer
from pipeline.report.explorer.packing import pack, unpack
from pipeline.stats.measure_sets import GRADER, RANKER, MeasureSet
from pipeline.tables import attention as attention_tables
from pipeline.tables import group_ablation
from tests.support import frames

PHENOMENA = ("exact", "synonym", "word_order")
TITLES = 4  # of a query
GROUPS = {"term_match": (0, 1), "segmentation": (2, 3), "word_order": (0, 3)}
Sweep = dict[str, np.ndarray]


def explorer_inputs(
    layers: int = 2,
    heads: int = 4,
    of: MeasureSet = GRADER,
    pairs: int = 24,
    mapped: int = 6,
    queries: Sequence[str] = (),
    tokens: Sequence[str] = ("[CLS]", "cheap", "train", "[SEP]", "cheap", "trains", "[SEP]"),
    seed: int = 0,
) -> ExplorerInputs:
    """Inputs of a run of random logits, in which head 0 changes nothing; `queries` are texts of the first ones."""
    random = np.random.default_rng(seed)
    test = example_split(pairs, queries)
    outputs = 5 if of is GRADER else 1
    unmasked = random.normal(0, 1, (pairs, outputs)).astype(np.float32)
    if of is GRADER:  # most pairs are right
        unmasked[np.arange(pairs), test["grade"]] += 2
    changes = random.normal(0, 1.2, (layers * heads, pairs, outputs)).astype(np.float32)
    changes[0] = 0
    sweep = _sweep(1 - np.eye(layers * heads), unmasked, unmasked + changes, layers)
    masks = np.ones((len(GROUPS), layers * heads))
    for row, members in zip(masks, GROUPS.values(), strict=True):
        row[list(members)] = 0
    of_groups = np.stack([unmasked + 1.5 * changes[list(members)].sum(axis=0) for members in GROUPS.values()])
    results = frames.results(layers, heads, of=of)
    frame = results.heads.sort_values(["layer", "head"]).assign(**_tallies(sweep, test, of))
    groups = _groups_frame(heads, of)
    slices = results.slices[results.slices["group"].isin(GROUPS)]
    tables = replace(results.tables, heads=frame, groups=groups, slices=slices)
    distances = np.abs(np.subtract.outer(np.arange(layers * heads), np.arange(layers * heads))) / (layers * heads)
    return ExplorerInputs(
        results=replace(results, tables=tables, pairs=pairs),
        test=test,
        head_sweep=sweep,
        group_sweep=_sweep(masks, unmasked, of_groups.astype(np.float32), layers),
        attention_shift=attention_shift(layers, heads),
        distances=distances,
        mapped=[_record(row, tokens) for row in range(mapped)],
        levels=_levels(mapped, layers, heads, len(tokens), random),
    )


def changed(explorer: Explorer, *changes: Callable[[dict[str, Any]], None]) -> Explorer:
    """A copy of the explorer with changes of its values."""
    values = explorer.model_dump()
    for change in changes:
        change(values)
    return Explorer.model_validate(values)


def predicting(unmasked: Mapping[int, int]) -> Callable[[dict[str, Any]], None]:
    """Change of the unmasked predictions of some pairs, by position."""

    def change(values: dict[str, Any]) -> None:
        predicted = unpack(values["predictions"]["heads"], np.uint8).copy()
        predicted[list(unmasked)] = list(unmasked.values())
        values["predictions"]["heads"] = pack(predicted)

    return change


def unmasked_predictions(explorer: Explorer) -> list[int]:
    return unpack(explorer.predictions.heads, np.uint8)[: explorer.run.pairs].tolist()


def example_split(pairs: int, queries: Sequence[str] = ()) -> pd.DataFrame:
    """A test split of queries of four titles each, the last one of the rest."""
    numbers = np.arange(pairs)
    names = [*queries, *(f"query {number}" for number in range(len(queries), pairs))]
    return pd.DataFrame(
        {
            "query_id": 7 + numbers // TITLES,
            "query": [names[number // TITLES] for number in numbers],
            "title": [f"title {number} of {names[number // TITLES]}" for number in numbers],
            "grade": numbers * 3 % 5,
            "phenomenon": [PHENOMENA[number % 3] for number in numbers],
        }
    )


def attention_shift(layers: int, heads: int) -> pd.DataFrame:
    rows = [
        {"layer": layer, "head": head, "function": function, "before": 0.3, "after": 0.2, "change": -0.1}
        | {"change_low": -0.15, "change_high": -0.05, "p": 0.01, "q": 0.02, "direction": "down"}
        for layer, head in np.ndindex(layers, heads)
        for function in frames.FUNCTIONS
    ]
    return frames.example(attention_tables.ATTENTION_SHIFT, rows)


def _sweep(masks: np.ndarray, unmasked: np.ndarray, masked: np.ndarray, layers: int) -> Sweep:
    return {
        "masks": masks.reshape(len(masks), layers, -1).astype(np.float32),
        "masked_logits": masked,
        "unmasked_logits": unmasked,
        "pairs": np.arange(len(unmasked)),
    }


def _tallies(sweep: Sweep, test: pd.DataFrame, of: MeasureSet) -> Mapping[str, Any]:
    """Pairs lost and won by each head, of a grader."""
    if of is RANKER:
        return {}
    gold = test["grade"].to_numpy()
    was, is_now = sweep["unmasked_logits"].argmax(-1) == gold, sweep["masked_logits"].argmax(-1) == gold
    return {"right_to_wrong": (was & ~is_now).sum(axis=1), "wrong_to_right": (~was & is_now).sum(axis=1)}


def _groups_frame(heads: int, of: MeasureSet) -> pd.DataFrame:
    rows = [frames.group_row("unmasked", "unmasked", 0.0, masked=0, of=of) | {"members": np.nan}]
    for number, (name, members) in enumerate(GROUPS.items(), start=1):
        named = " ".join(f"{head // heads}.{head % heads}" for head in members)
        rows.append(frames.group_row("function", name, -0.1 * number, masked=2, of=of) | {"members": named})
    return frames.example(group_ablation.GROUPS[of.kind], rows)


def _record(row: int, tokens: Sequence[str]) -> dict[str, Any]:
    boundary = list(tokens).index("[SEP]")
    segment = [-1 if token in ("[CLS]", "[SEP]") else int(place > boundary) for place, token in enumerate(tokens)]
    return {"row": row, "tokens": list(tokens), "segment": segment, "length": len(tokens)}


def _levels(mapped: int, layers: int, heads: int, size: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    shape = (layers, heads, size, size)
    return {
        f"{phase}_{number}": random.integers(0, 16, shape, dtype=np.uint8)
        for number in range(mapped)
        for phase in ("before", "after")
    }
