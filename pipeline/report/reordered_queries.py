"""Queries whose order changes where a needed head of a ranker is masked: their titles side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.core.heads import Head
from pipeline.findings.select import records
from pipeline.report.results import Results
from pipeline.report.tables import Table, most_costly
from pipeline.report.text import shortened
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.measures import EvaluationSet

HEADS, QUERIES, TITLES = 3, 2, 10  # heads, queries of a head, and titles of a query, that are shown
TITLE, QUERY = 60, 80  # columns of a text


def reordered_queries(results: Results, sweep: Mapping[str, np.ndarray], test: pd.DataFrame) -> list[Table]:
    """A table a query: those that lose most of the headline measure without each of the most needed heads.

    Args:
        sweep: every head masked alone, see `pipeline.tables.head_ablation.LOGITS`.
        test: the test split.
    """
    pairs = test.iloc[sweep["pairs"]]
    sample = QuerySample(pairs["query_id"].to_numpy(), resamples=0, seed=0)
    evaluated = EvaluationSet(pairs["grade"].to_numpy(), sweep["unmasked_logits"], sample)
    heads = [Head.of_row(row) for row in records(most_costly(results).head(HEADS))]
    return [table for head in heads for table in _of_head(results, head, _masked(sweep, head), pairs, evaluated)]


def _masked(sweep: Mapping[str, np.ndarray], head: Head) -> np.ndarray:
    """Logits [pair, output] with the head masked."""
    return sweep["masked_logits"][sweep["masks"][:, head.layer, head.head].argmin()]


def _of_head(
    results: Results, head: Head, masked: np.ndarray, pairs: pd.DataFrame, evaluated: EvaluationSet
) -> list[Table]:
    both = np.stack([evaluated.unmasked_logits, masked])
    before, after = results.headline.statistics(both, evaluated)[..., 0]  # [query] each
    worst = np.argsort(after - before, kind="stable")[:QUERIES]
    tables = []
    for query in worst[(after < before)[worst]]:
        titles = evaluated.titles[query]
        listed = pairs.iloc[titles].assign(unmasked=both[0, titles, 0], masked=both[1, titles, 0])
        change = f"{results.headline.label} {before[query]:.3f} -> {after[query]:.3f}"
        tables.append(_side_by_side(results, head, listed, change))
    return tables


def _side_by_side(results: Results, head: Head, titles: pd.DataFrame, change: str) -> Table:
    """The query's titles by rank, those of equal score in the order of the table."""
    orders = [_ranked(results, titles, scores) for scores in ("unmasked", "masked")]
    rows = [[str(rank), *left, *right] for rank, (left, right) in enumerate(zip(*orders, strict=True), start=1)]
    query, first = shortened(titles["query"].iloc[0], QUERY), ""
    if len(titles) > TITLES:
        first = f"; the first {TITLES} of {len(titles)} titles"
    caption = f"“{query}” without {head.name}: {change}{first}"
    return Table(caption, ["rank", *_columns("unmasked"), *_columns(f"without {head.short}")], rows)


def _columns(state: str) -> Sequence[str]:
    return f"title, {state}", "grade", "score"


def _ranked(results: Results, titles: pd.DataFrame, scores: str) -> list[list[str]]:
    ordered = titles.sort_values(scores, ascending=False, kind="stable").head(TITLES)
    return [
        [shortened(row["title"], TITLE), results.grade_text(row["grade"]), f"{row[scores]:.3f}"]
        for row in records(ordered)
    ]
