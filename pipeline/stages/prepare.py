"""The corpus, generated or the user's table, as three splits of clean pairs.

Writes data/prepared/{train,dev,test}.parquet, data/prepared/rejected.csv (pairs set aside, with line and reason) and
reports/prepare/metrics.json. Nothing is written unless everything is in order.
"""

from pathlib import Path

import pandas as pd

from pipeline.core import paths
from pipeline.core.config import Data, Params
from pipeline.core.formats import write_json
from pipeline.data.deduplication import query_ids, rejected_rows, rejection_reasons
from pipeline.data.splits import SPLITS, check_complete_splits, check_given_splits, draw_splits, summarize
from pipeline.data.synthetic import generate
from pipeline.data.table import read_table
from pipeline.tables.prepare import REJECTED, SPLIT_TABLES
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    """Read, set aside, split, check, write.

    Raises:
        InputError: what is wrong with the table, before any file is written.
    """
    data, seed = params.data, params.run.seed
    pairs = _read(data, seed)
    reasons = rejection_reasons(pairs)
    splits = _divide(pairs[reasons == ""], data, seed)
    check_complete_splits(splits, data.grades, data.source)
    metrics = summarize(splits, reasons, data.grades)

    for table, split in zip(SPLIT_TABLES.values(), splits.values(), strict=True):
        table.write(split)
    REJECTED.write(rejected_rows(pairs, reasons, data.grades))
    write_json(paths.stage_metrics("prepare"), metrics)
    record.metrics.update(metrics)
    record.artifacts += [paths.REJECTED, paths.stage_metrics("prepare")]
    record.dataset += SPLIT_TABLES.keys()


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
