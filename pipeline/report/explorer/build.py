"""Results of a run -> what its explorer shows (`contract.Explorer`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.report.explorer import heads, maps, predictions
from pipeline.report.explorer.badges import badge_meanings
from pipeline.report.explorer.contract import VERSION, AttentionMap, ClsAttention, Explorer, Pairs, Run
from pipeline.report.explorer.page import page_size
from pipeline.report.explorer.predictions import Sweep
from pipeline.report.pruning import summary
from pipeline.report.results import Results
from pipeline.stats.measure_sets import RANKER

MEBIBYTE = 2**20
TEXTS = ("query_id", "query", "title", "grade")


@dataclass(frozen=True)
class ExplorerInputs:
    """What the explorer shows besides the report's results.

    Attributes:
        results: of the report.
        test: the test split.
        head_sweep, group_sweep: every head masked alone, every group masked.
        attention_shift: `tables.attention.ATTENTION_SHIFT`.
        distances: of two heads, float64 [head, head].
        mapped: `tables.attention.EXPLORER_PAIRS`; levels: their maps, by <phase>_<record>.
    """

    results: Results
    test: pd.DataFrame
    head_sweep: Sweep
    group_sweep: Sweep
    attention_shift: pd.DataFrame
    distances: np.ndarray
    mapped: Sequence[Mapping[str, Any]]
    levels: Mapping[str, np.ndarray]


def build_explorer(inputs: ExplorerInputs, shown: int, mib: float) -> Explorer:
    """The explorer of a run.

    Args:
        shown: pairs whose attention maps are wanted; fewer where the page would be larger than `mib` mebibytes.
    """
    results, sweep = inputs.results, inputs.head_sweep
    pairs = inputs.test.iloc[sweep["pairs"]].reset_index(drop=True)
    query_ids, masks = pairs["query_id"].to_numpy(), predictions.head_order(sweep)
    predicted = predictions.all_predictions(sweep, masks, query_ids)
    groups = heads.group_records(results)
    group_sweep, group_pairs = _groups_on_heads_pairs(inputs)
    group_masks = predictions.group_order(group_sweep, [group.heads for group in groups])
    of_groups = predictions.all_predictions(group_sweep, group_masks, query_ids[group_pairs])
    gold = pairs["grade"].to_numpy()
    changes = None
    if results.measures is RANKER:
        of_heads = predictions.query_changes(sweep, masks, gold, query_ids)
        graded = gold[group_pairs], query_ids[group_pairs]
        few = predictions.query_changes(group_sweep, group_masks, *graded)
        changes = of_heads, _of_all_queries(few, query_ids, group_pairs)
    everything = Explorer(
        version=VERSION,
        run=_run(results, len(pairs)),
        measures=[
            heads.measure_record(results, measure, predictions.queries_counted(sweep, gold, query_ids, measure))
            for measure in results.measures.tested
        ],
        words=badge_meanings(results),
        functions=list(FUNCTIONS),
        slices=heads.slices_of(results.tables.head_slices),
        group_slices=heads.group_slices_of(results),
        heads=heads.head_records(results, inputs.attention_shift, inputs.distances),
        edges=heads.edge_records(results.edges, results.shape[1]),
        groups=groups,
        pairs=_pairs(pairs, sweep["pairs"], results),
        pruning=summary(results),
        predictions=predictions.packed_predictions(predicted, of_groups, group_pairs, changes),
        logit_changes=predictions.logit_changes(sweep, masks, group_pairs),
        maps=_maps(inputs, pairs, predicted, shown),
        maps_left_out=0,
        mib=mib,
        cls_attention=[_cls_attention(record, results) for record in results.example_cls_attention],
    )
    return within(everything, mib)


def within(explorer: Explorer, mib: float) -> Explorer:
    """The explorer with as many of its maps as its page has room for."""

    def first(count: int) -> Explorer:
        left_out = len(explorer.maps) - count
        return explorer.model_copy(update={"maps": explorer.maps[:count], "maps_left_out": left_out})

    return first(maps.most_that_fit(len(explorer.maps), lambda count: page_size(first(count)), mib * MEBIBYTE))


def _run(results: Results, pairs: int) -> Run:
    layers, heads_per_layer = results.shape
    return Run(
        setting=[list(pair) for pair in results.setting],
        kind="ranker" if results.measures is RANKER else "grader",
        layers=layers,
        heads=heads_per_layer,
        grades=results.grades,
        has_before=results.tables.has_before,
        headline=results.headline.name,
        primary=results.primary.name,
        pairs=pairs,
        group_pairs=results.pairs,
        warnings=results.warnings,
        collapse=f"by {results.words.collapse} it is {results.collapsed_from}",
        beats_constant=results.beats_constant,
    )


def _pairs(pairs: pd.DataFrame, rows: np.ndarray, results: Results) -> Pairs:
    queries = pairs.drop_duplicates("query_id")
    place = {query: number for number, query in enumerate(sorted(queries["query_id"]))}
    columns = [name for name in pairs.columns if name not in TEXTS]
    slices = {name: pairs[name].fillna("").astype(str).tolist() for name in columns}
    return Pairs(
        rows=rows.tolist(),
        queries=queries.sort_values("query_id")["query"].tolist(),
        query=[place[query] for query in pairs["query_id"]],
        titles=pairs["title"].tolist(),
        gold=pairs["grade"].astype(float).tolist(),
        slices={**slices, "grade": [results.grade_text(grade) for grade in pairs["grade"]]},
    )


def _groups_on_heads_pairs(inputs: ExplorerInputs) -> tuple[Sweep, np.ndarray]:
    """The sweep of groups on the pairs that single heads were masked on too, and their positions among those."""
    sweep = inputs.group_sweep
    _, of_groups, of_heads = np.intersect1d(sweep["pairs"], inputs.head_sweep["pairs"], return_indices=True)
    order = np.argsort(of_heads, kind="stable")
    kept = of_groups[order]
    same = {
        **sweep,
        "unmasked_logits": sweep["unmasked_logits"][kept],
        "masked_logits": sweep["masked_logits"][:, kept],
    }
    return same, of_heads[order]


def _of_all_queries(changes: np.ndarray, query_ids: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Changes [mask, query] of the queries of some pairs as those of all queries, 0 of the others."""
    queries = np.unique(query_ids)
    every = np.zeros((len(changes), len(queries)))
    every[:, np.searchsorted(queries, np.unique(query_ids[pairs]))] = changes
    return every


def _maps(inputs: ExplorerInputs, pairs: pd.DataFrame, predicted: np.ndarray, shown: int) -> list[AttentionMap]:
    """Maps of the pairs to show, the first ones those to keep where there is no room for all."""
    place = {row: number for number, row in enumerate(inputs.head_sweep["pairs"].tolist())}
    places = [place[record["row"]] for record in inputs.mapped]
    chosen = maps.shown_pairs(pairs.iloc[places], predicted[:, places], shown)
    return maps.attention_maps(inputs.mapped, inputs.levels, places, chosen)


def _cls_attention(record: Mapping[str, Any], results: Results) -> ClsAttention:
    names = ("query", "title", "tokens", "kinds", "unmasked", "masked")
    head = record["layer"] * results.shape[1] + record["head"]
    return ClsAttention(**{name: record[name] for name in names}, grade=float(record["grade"]), head=head)
