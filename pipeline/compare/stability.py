"""Stability of results over several runs of the same shape, such as the same params with other seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import NEEDED
from pipeline.compare.diff import HEAD, names_of, rank_correlation, same_value
from pipeline.compare.run_results import CHANGE, RunResults, check_one_kind
from pipeline.core.errors import InputError
from pipeline.findings.verdict import VERDICTS
from pipeline.stats.measure_sets import MeasureSet

SPREAD = ["mean", "deviation", "minimum", "maximum"]


@dataclass(frozen=True)
class Stability:
    """Stability over several runs. Deviations are the sample's (over runs - 1), NaN for a single value.

    runs: how many.
    params: those that differ, one row a param (index: its name), one column a run; None where a run has it not.
    metrics: metric, runs (that have it), mean, deviation, minimum, maximum.
    heads: layer, head, mean, deviation, minimum, maximum of the relative change of the headline measure (shares
        of its unmasked value), needed: in how many runs the head's verdict is "needed".
    rank_correlation: mean of Spearman's correlations of effects over all pairs of runs; None where any is undefined.
    verdicts: finding, and in how many runs it has each verdict.
    measures: of all runs' kind of model.
    """

    runs: int
    params: pd.DataFrame
    metrics: pd.DataFrame
    heads: pd.DataFrame
    rank_correlation: float | None
    verdicts: pd.DataFrame
    measures: MeasureSet

    @property
    def always_needed(self) -> pd.DataFrame:
        """Rows of `heads` that are needed in every run."""
        return self.heads[self.heads["needed"] == self.runs]


def stability(runs: Sequence[RunResults]) -> Stability:
    """Compute the stability over several runs.

    Raises:
        InputError: the models of two runs do not have the same layers and heads, or are of different kinds.
    """
    check_one_kind(runs)
    for first, second in pairwise(runs):
        _check_shapes(first, second)
    return Stability(
        runs=len(runs),
        params=_params(runs),
        metrics=_metrics(runs),
        heads=_heads(runs),
        rank_correlation=_rank_correlation(runs),
        verdicts=_verdicts(runs),
        measures=runs[0].measures,
    )


def shape(run: RunResults) -> str:
    """Shape of the model as text, such as "6 layers x 12 heads"."""
    return f"{run.heads['layer'].nunique()} layers x {run.heads['head'].nunique()} heads"


def _check_shapes(first: RunResults, second: RunResults) -> None:
    first_heads, second_heads = (set(map(tuple, run.heads[HEAD].to_numpy())) for run in (first, second))
    if first_heads != second_heads:
        raise InputError(
            f"{first.name} has {shape(first)}, {second.name} {shape(second)}; "
            "three runs or more must have the same shape; compare two"
        )


def _params(runs: Sequence[RunResults]) -> pd.DataFrame:
    names = names_of([run.params for run in runs])
    rows = {name: [run.params.get(name) for run in runs] for name in names}
    differing = {name: row for name, row in rows.items() if not all(same_value(row[0], value) for value in row)}
    columns = [run.name for run in runs]
    return pd.DataFrame(list(differing.values()), index=list(differing), columns=columns, dtype=object)


def _metrics(runs: Sequence[RunResults]) -> pd.DataFrame:
    rows = []
    for name in names_of([run.metrics for run in runs]):
        values = np.array([run.metrics[name] for run in runs if name in run.metrics], dtype=float)
        rows.append((name, len(values), *_spread(values[:, None]).T[0]))
    return pd.DataFrame(rows, columns=["metric", "runs", *SPREAD])


def _heads(runs: Sequence[RunResults]) -> pd.DataFrame:
    sorted_heads = [run.heads.sort_values(HEAD) for run in runs]
    effects = np.array([heads[CHANGE].to_numpy(dtype=float) for heads in sorted_heads])
    needed = sum((heads["verdict"] == NEEDED).to_numpy(dtype=int) for heads in sorted_heads)
    names = sorted_heads[0][HEAD].reset_index(drop=True)
    return names.assign(**dict(zip(SPREAD, _spread(effects), strict=True)), needed=needed)


def _spread(values: np.ndarray) -> np.ndarray:
    """Mean, deviation, minimum and maximum [4, column] over the runs of [run, column]; NaN where any run's is."""
    runs, columns = values.shape
    deviation = values.std(axis=0, ddof=1) if runs > 1 else np.full(columns, np.nan)
    return np.array([values.mean(axis=0), deviation, values.min(axis=0), values.max(axis=0)])


def _rank_correlation(runs: Sequence[RunResults]) -> float | None:
    pairs = [rank_correlation(first.heads, second.heads) for first, second in combinations(runs, 2)]
    defined = [value for value in pairs if value is not None]
    return float(np.mean(defined)) if defined and len(defined) == len(pairs) else None


def _verdicts(runs: Sequence[RunResults]) -> pd.DataFrame:
    rows = []
    for finding in names_of([run.verdicts for run in runs]):
        given = [run.verdicts.get(finding) for run in runs]
        rows.append((finding, *(given.count(verdict) for verdict in VERDICTS)))
    return pd.DataFrame(rows, columns=["finding", *VERDICTS])
