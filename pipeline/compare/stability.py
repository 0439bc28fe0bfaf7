"""What stays and what moves over several runs of one shape: the same settings from other seeds, say."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import CHANGE, NEEDED
from pipeline.compare.diff import HEAD, names_of, rank_correlation, same_value
from pipeline.compare.run_results import RunResults
from pipeline.core.errors import InputError
from pipeline.findings.verdict import VERDICTS

SPREAD = ["mean", "deviation", "minimum", "maximum"]


@dataclass(frozen=True)
class Stability:
    """Several runs together. Deviations are the sample's (over runs - 1), NaN for a single value.

    runs: how many.
    params: those that differ, one row a param (index: its name), one column a run; None where a run has it not.
    metrics: metric, runs (that have it), mean, deviation, minimum, maximum.
    heads: layer, head, mean, deviation, minimum, maximum of the relative accuracy change (shares of the unmasked
        accuracy), needed: in how many runs the head's verdict is "needed".
    rank_correlation: mean of Spearman's correlations of effects over all pairs of runs; None where any is undefined.
    verdicts: finding, and in how many runs it "agrees", "differs" and "cannot tell".
    """

    runs: int
    params: pd.DataFrame
    metrics: pd.DataFrame
    heads: pd.DataFrame
    rank_correlation: float | None
    verdicts: pd.DataFrame

    @property
    def always_needed(self) -> pd.DataFrame:
        """The rows of `heads` that every run needs."""
        return self.heads[self.heads["needed"] == self.runs]


def stability(outcomes: Sequence[RunResults]) -> Stability:
    """Several runs together.

    Raises:
        InputError: the models of two runs do not have the same layers and heads.
    """
    for first, second in pairwise(outcomes):
        _check_shapes(first, second)
    return Stability(
        runs=len(outcomes),
        params=_params(outcomes),
        metrics=_metrics(outcomes),
        heads=_heads(outcomes),
        rank_correlation=_rank_correlation(outcomes),
        verdicts=_verdicts(outcomes),
    )


def shape(outcome: RunResults) -> str:
    """Such as "6 layers x 12 heads"."""
    return f"{outcome.heads['layer'].nunique()} layers x {outcome.heads['head'].nunique()} heads"


def _check_shapes(first: RunResults, second: RunResults) -> None:
    places = [set(one.heads[HEAD].itertuples(index=False, name=None)) for one in (first, second)]
    if places[0] != places[1]:
        raise InputError(
            f"{first.name} has {shape(first)}, {second.name} {shape(second)}; "
            "three runs or more must be of one shape, or compare two"
        )


def _params(outcomes: Sequence[RunResults]) -> pd.DataFrame:
    names = names_of([one.params for one in outcomes])
    rows = {name: [one.params.get(name) for one in outcomes] for name in names}
    differing = {name: row for name, row in rows.items() if not all(same_value(row[0], value) for value in row)}
    columns = [one.name for one in outcomes]
    return pd.DataFrame(list(differing.values()), index=list(differing), columns=columns, dtype=object)


def _metrics(outcomes: Sequence[RunResults]) -> pd.DataFrame:
    rows = []
    for name in names_of([one.metrics for one in outcomes]):
        values = np.array([one.metrics[name] for one in outcomes if name in one.metrics], dtype=float)
        rows.append((name, len(values), *_spread(values[:, None]).T[0]))
    return pd.DataFrame(rows, columns=["metric", "runs", *SPREAD])


def _heads(outcomes: Sequence[RunResults]) -> pd.DataFrame:
    sorted_heads = [one.heads.sort_values(HEAD) for one in outcomes]
    effects = np.array([heads[CHANGE].to_numpy(dtype=float) for heads in sorted_heads])
    needed = sum((heads["verdict"] == NEEDED).to_numpy(dtype=int) for heads in sorted_heads)
    found = sorted_heads[0][HEAD].reset_index(drop=True)
    return found.assign(**dict(zip(SPREAD, _spread(effects), strict=True)), needed=needed)


def _spread(values: np.ndarray) -> np.ndarray:
    """Mean, deviation, minimum and maximum [4, column] over the runs of [run, column]; NaN where any run's is."""
    runs, columns = values.shape
    deviation = values.std(axis=0, ddof=1) if runs > 1 else np.full(columns, np.nan)
    return np.array([values.mean(axis=0), deviation, values.min(axis=0), values.max(axis=0)])


def _rank_correlation(outcomes: Sequence[RunResults]) -> float | None:
    found = [rank_correlation(one.heads, other.heads) for one, other in combinations(outcomes, 2)]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None


def _verdicts(outcomes: Sequence[RunResults]) -> pd.DataFrame:
    rows = []
    for finding in names_of([one.verdicts for one in outcomes]):
        given = [one.verdicts.get(finding) for one in outcomes]
        rows.append((finding, *(given.count(verdict) for verdict in VERDICTS)))
    return pd.DataFrame(rows, columns=["finding", *VERDICTS])
