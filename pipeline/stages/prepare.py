"""The corpus, generated or the user's table or BEIR folder, as three splits of clean pairs; and pairs without grades.

Writes data/prepared/{train,dev,test}.parquet, data/prepared/unlabelled.parquet (without rows unless data.unlabelled
names a source), data/prepared/rejected.csv (graded pairs set aside, with line and reason) and
reports/prepare/metrics.json. Nothing is written unless everything is in order. Says on stderr what a BEIR folder's run
and the ablations' caps on pairs leave out, which splits have few queries to rank, and whose words are not found.
"""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.core import paths
from pipeline.core.config import GENERATED, Data, Params, is_beir_folder
from pipeline.core.errors import InputError
from pipeline.core.formats import write_json
from pipeline.data.beir import ONE_FILE, read_beir, read_beir_candidates
from pipeline.data.deduplication import PART_FILE, count_shared, query_ids, rejected_rows, rejection_reasons
from pipeline.data.grades import grade_label, grade_strata
from pipeline.data.scripts import segmentation_notice, unsegmented_languages
from pipeline.data.splits import (
    SPLITS,
    check_comparable_queries,
    check_complete_splits,
    check_enough_queries,
    check_given_splits,
    check_trained_grades,
    count_comparable_queries,
    draw_splits,
    summarize,
)
from pipeline.data.synthetic import generate
from pipeline.data.table import read_table, read_unlabelled
from pipeline.tables.prepare import REJECTED, SPLIT_TABLES, UNLABELLED
from pipeline.tracking import Record

EVALUATED = ("dev", "test")
FEW_QUERIES = 30
DEFAULT_CAPS = {"head_ablation": 1500, "group_ablation": 450}  # max_pairs of these stages as params.yaml comes
ABLATED = (("test", "head_ablation"), ("test", "group_ablation"), ("unlabelled", "head_ablation"))  # pairs, by stage


def main(params: Params, record: Record) -> None:
    """Read, set aside, split, check, write.

    Raises:
        InputError: what is wrong with a source, before any file is written.
    """
    data, seed = params.data, params.run.seed
    pairs, coverage = _read(data, seed)
    reasons = rejection_reasons(pairs)
    splits = _divide(pairs[reasons == ""], data, seed)
    comparable = _check_splits(splits, params)
    unlabelled, rejected = _read_unlabelled(data)
    metrics = summarize(splits, reasons, data.grade_names) | {
        **{f"{split}_comparable_queries": queries for split, queries in comparable.items()},
        **coverage,
        "unlabelled_pairs": len(unlabelled),
        "unlabelled_rejected": rejected,
        "unlabelled_in_train": count_shared(unlabelled, splits["train"]),
    }

    for table, split in zip(SPLIT_TABLES.values(), splits.values(), strict=True):
        table.write(split)
    UNLABELLED.write(unlabelled)
    REJECTED.write(rejected_rows(pairs, reasons, partial(grade_label, names=data.grade_names)))
    write_json(paths.stage_metrics("prepare"), metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.REJECTED, paths.stage_metrics("prepare")]
    record.dataset += [*SPLIT_TABLES, *([paths.UNLABELLED] if len(unlabelled) else [])]
    caps = {"head_ablation": params.head_ablation.max_pairs, "group_ablation": params.group_ablation.max_pairs}
    costs = cost_notices({"test": len(splits["test"]), "unlabelled": len(unlabelled)}, caps)
    words = segmentation_notice(unsegmented_languages(splits["test"][["query", "title"]].to_numpy().ravel()))
    for notice in [*coverage_notices(coverage), *few_queries_notices(comparable), *costs, *filter(None, [words])]:
        print(f"prepare: {notice}", file=sys.stderr, flush=True)


def _read(data: Data, seed: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """All pairs, numbered from 1 by row or line, with a split column where the source brings one.

    And what a BEIR folder's run and judgements lack of each other.
    """
    if data.source == GENERATED:
        pairs = generate(**data.generated.model_dump(), seed=seed)
        pairs.index = pd.RangeIndex(1, len(pairs) + 1, name="row")
        return pairs, {}
    if data.is_beir_source:
        pairs, coverage = read_beir(Path(data.source), data.grade_names)
        instead = ONE_FILE
    else:
        pairs, coverage = read_table(Path(data.source), data.columns, data.slices, data.grade_names), {}
        instead = "set data.columns.split to null"
    if "split" in pairs:
        check_given_splits(pairs, data.source, instead)
    return pairs, coverage


def _divide(pairs: pd.DataFrame, data: Data, seed: int) -> dict[str, pd.DataFrame]:
    """The pairs by split, their queries numbered over all of them in order of first appearance."""
    pairs = pairs.assign(query_id=query_ids(pairs["query"]))
    if "split" not in pairs:
        shares = (1 - data.dev_share - data.test_share, data.dev_share, data.test_share)
        numbers = draw_splits(pairs["query_id"].to_numpy(), grade_strata(pairs["grade"]), shares, seed)
        pairs["split"] = [SPLITS[split] for split in numbers]
    columns = ["query_id", *pairs.columns.drop(["query_id", "split", PART_FILE], errors="ignore")]
    return {name: pairs.loc[pairs["split"] == name, columns].reset_index(drop=True) for name in SPLITS}


def _check_splits(splits: dict[str, pd.DataFrame], params: Params) -> dict[str, int]:
    """Check what the model needs of each split; returns a ranker's queries with titles of different grades."""
    source, trains = params.data.source, not params.model.fine_tuned
    check_complete_splits(splits, SPLITS if trains else EVALUATED, source)
    check_enough_queries(splits, EVALUATED, source)
    if not params.is_ranker:
        if trains:
            check_trained_grades(splits, params.data.grade_names, source)
        return {}
    comparable = count_comparable_queries(splits)
    learns_order = trains and params.finetune.objective in ("pairwise", "listwise")
    check_comparable_queries(comparable, SPLITS if learns_order else EVALUATED, source)
    return comparable


def _read_unlabelled(data: Data) -> tuple[pd.DataFrame, int]:
    """The pairs without grades as `tables.prepare.UNLABELLED`, and how many more were read and set aside."""
    if data.unlabelled is None:
        return UNLABELLED.empty(), 0
    path = Path(data.unlabelled)
    is_beir = is_beir_folder(data.unlabelled)
    pairs = read_beir_candidates(path) if is_beir else read_unlabelled(path, data.columns)
    kept = pairs[rejection_reasons(pairs.assign(grade=0)) == ""]  # of one grade, no pair conflicts with another
    if kept.empty:
        raise InputError(
            f"{data.unlabelled}: all {len(pairs)} pairs have an empty query or title; give it others, or set "
            "data.unlabelled to null"
        )
    kept = kept.assign(query_id=query_ids(kept["query"]))[["query_id", "query", "title"]].reset_index(drop=True)
    return kept, len(pairs) - len(kept)


def coverage_notices(coverage: Mapping[str, int]) -> list[str]:
    """Notices of what a BEIR folder's run and judgements lack of each other, as `read_beir` counts it."""
    notices = []
    if coverage.get("judged_titles_not_in_run"):
        notices.append(
            f"{coverage['judged_titles_not_in_run']:,} of {coverage['judged_titles']:,} judged titles "
            f"({coverage['titles_above_worst_not_in_run']:,} of {coverage['titles_above_worst']:,} above the worst "
            "grade) are not in the run and left out: a query's titles are the run's"
        )
    if coverage.get("queries_not_in_run"):
        notices.append(f"judged queries left out because the run lacks them: {coverage['queries_not_in_run']:,}")
    if coverage.get("queries_not_judged"):
        notices.append(
            f"queries of the run left out because none of their titles is judged: {coverage['queries_not_judged']:,}"
        )
    return notices


def few_queries_notices(comparable: Mapping[str, int]) -> list[str]:
    """Notices of the evaluated splits with few queries whose titles can be ordered; `comparable`: split -> queries."""
    return [
        f"{split} has few queries with titles of different grades, {comparable[split]}; intervals are over queries, so "
        f"give it at least {FEW_QUERIES}: more queries or a larger share of them"
        for split in EVALUATED
        if split in comparable and comparable[split] < FEW_QUERIES
    ]


def cost_notices(pairs: Mapping[str, int], caps: Mapping[str, int]) -> list[str]:
    """Notices of the pairs that an ablation leaves out, and of what more than usual cost: time is linear in pairs.

    Args:
        pairs: their number by table.
        caps: max_pairs by stage.
    """
    notices = []
    for table, stage in ABLATED:
        size, masked, usual = pairs[table], min(pairs[table], caps[stage]), DEFAULT_CAPS[stage]
        if masked < size:
            notices.append(
                f"{table} has {size:,} pairs; {stage} masks heads on at most {masked:,} of them ({stage}.max_pairs); "
                f"all of them would take {_factor(size / masked)} times as long"
            )
        if masked > usual:
            notices.append(
                f"{stage} masks heads on {masked:,} pairs of {table}, which takes {_factor(masked / usual)} times as "
                f"long as on {usual:,}, the default of {stage}.max_pairs"
            )
    return notices


def _factor(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"
