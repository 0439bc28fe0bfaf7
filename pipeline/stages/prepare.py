"""The corpus, generated or the user's table, as three splits of clean pairs; and pairs without grades, if any.

Writes data/prepared/{train,dev,test}.parquet, data/prepared/unlabelled.parquet (without rows unless data.unlabelled
names a table), data/prepared/rejected.csv (graded pairs set aside, with line and reason) and
reports/prepare/metrics.json. Nothing is written unless everything is in order. Says on stderr what the ablations' caps
on pairs leave out.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.core import paths
from pipeline.core.config import Data, Params
from pipeline.core.errors import InputError
from pipeline.core.formats import write_json
from pipeline.data.deduplication import count_shared, query_ids, rejected_rows, rejection_reasons
from pipeline.data.splits import SPLITS, check_complete_splits, check_given_splits, draw_splits, summarize
from pipeline.data.synthetic import generate
from pipeline.data.table import read_table, read_unlabelled
from pipeline.tables.prepare import REJECTED, SPLIT_TABLES, UNLABELLED
from pipeline.tracking import Record

DEFAULT_CAPS = {"head_ablation": 1500, "group_ablation": 450}  # max_pairs of these stages as params.yaml comes
ABLATED = (("test", "head_ablation"), ("test", "group_ablation"), ("unlabelled", "head_ablation"))  # pairs, by stage


def main(params: Params, record: Record) -> None:
    """Read, set aside, split, check, write.

    Raises:
        InputError: what is wrong with a table, before any file is written.
    """
    data, seed = params.data, params.run.seed
    pairs = _read(data, seed)
    reasons = rejection_reasons(pairs)
    splits = _divide(pairs[reasons == ""], data, seed)
    check_complete_splits(splits, data.grades, data.source)
    unlabelled, rejected = _read_unlabelled(data)
    metrics = summarize(splits, reasons, data.grades) | {
        "unlabelled_pairs": len(unlabelled),
        "unlabelled_rejected": rejected,
        "unlabelled_in_train": count_shared(unlabelled, splits["train"]),
    }

    for table, split in zip(SPLIT_TABLES.values(), splits.values(), strict=True):
        table.write(split)
    UNLABELLED.write(unlabelled)
    REJECTED.write(rejected_rows(pairs, reasons, data.grades))
    write_json(paths.stage_metrics("prepare"), metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.REJECTED, paths.stage_metrics("prepare")]
    record.dataset += [*SPLIT_TABLES, *([paths.UNLABELLED] if len(unlabelled) else [])]
    caps = {"head_ablation": params.head_ablation.max_pairs, "group_ablation": params.group_ablation.max_pairs}
    for notice in cost_notices({"test": len(splits["test"]), "unlabelled": len(unlabelled)}, caps):
        print(f"prepare: {notice}", file=sys.stderr, flush=True)


def _read(data: Data, seed: int) -> pd.DataFrame:
    """All pairs, numbered from 1 by row or line, with a split column where the source brings one."""
    if data.source == "generated":
        pairs = generate(**data.generated.model_dump(), seed=seed)
        pairs.index = pd.RangeIndex(1, len(pairs) + 1, name="row")
    else:
        pairs = read_table(Path(data.source), data.columns, data.slices, data.grades)
    if "split" in pairs:
        check_given_splits(pairs, data.source)
    return pairs


def _divide(pairs: pd.DataFrame, data: Data, seed: int) -> dict[str, pd.DataFrame]:
    """The pairs by split, their queries numbered over all of them in order of first appearance."""
    pairs = pairs.assign(query_id=query_ids(pairs["query"]))
    if "split" not in pairs:
        shares = (1 - data.dev_share - data.test_share, data.dev_share, data.test_share)
        numbers = draw_splits(pairs["query_id"].to_numpy(), pairs["grade"].to_numpy(), shares, seed)
        pairs["split"] = [SPLITS[split] for split in numbers]
    columns = ["query_id", *pairs.columns.drop(["query_id", "split"])]
    return {name: pairs.loc[pairs["split"] == name, columns].reset_index(drop=True) for name in SPLITS}


def _read_unlabelled(data: Data) -> tuple[pd.DataFrame, int]:
    """The pairs without grades as `tables.prepare.UNLABELLED`, and how many more were read and set aside."""
    if data.unlabelled is None:
        return UNLABELLED.empty(), 0
    pairs = read_unlabelled(Path(data.unlabelled), data.columns)
    kept = pairs[rejection_reasons(pairs.assign(grade=0)) == ""]  # of one grade, no pair conflicts with another
    if kept.empty:
        raise InputError(
            f"{data.unlabelled}: all {len(pairs)} pairs have an empty query or title; give it others, or set "
            "data.unlabelled to null"
        )
    kept = kept.assign(query_id=query_ids(kept["query"]))[["query_id", "query", "title"]].reset_index(drop=True)
    return kept, len(pairs) - len(kept)


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
