"""What masking does to the grades: one row an intervention, each change from the unmasked model with its interval."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from pipeline.analysis.inference import Bootstrap, bootstrap, detectable, mcnemar, of_query, q_values, sign_flips
from pipeline.analysis.sums import by_query, changes, measures

NEEDED, HARMFUL, NOTHING = "needed", "harmful", "no detectable effect"
SIGNIFICANT = 0.05  # q-value below which an effect is one
FEWEST = 6  # queries that must all change one way before any sign test at 0.05 can find it: 2 / 2^6 < 0.05
CHANGE = "relative_accuracy_change"
Ends = tuple[np.ndarray, np.ndarray]  # of an interval


@dataclass(frozen=True)
class Judged:
    """The pairs on which interventions are judged, and how queries are drawn again from them.

    Attributes:
        grades: gold, 0 worst, [pair].
        query_ids: [pair].
        baseline: unmasked logits [pair, grade].
        draws: of the bootstrap.
        seed: of the bootstrap and of the sign flips.
    """

    grades: np.ndarray
    query_ids: np.ndarray
    baseline: np.ndarray
    draws: int
    seed: int

    @property
    def queries(self) -> int:
        return len(np.unique(self.query_ids))

    @cached_property
    def drawn(self) -> Bootstrap:
        return bootstrap(self.queries, self.draws, self.seed)

    def of(self, pairs: np.ndarray) -> "Judged":
        """The same on some of the pairs, [pair] numbers or bool."""
        return Judged(self.grades[pairs], self.query_ids[pairs], self.baseline[pairs], self.draws, self.seed)


def effects(logits: np.ndarray, judged: Judged) -> pd.DataFrame:
    """Measures of every intervention, from masked logits [intervention, pair, grade].

    Returns:
        One row an intervention: ``accuracy``; ``relative_accuracy_change``, a fraction of the baseline's accuracy, the
        article's measure (NaN where that is 0); the measures of `sums` with their ``_change`` (masked minus baseline);
        every change with ``_low`` and ``_high``, its 95% interval; ``right_to_wrong`` and ``wrong_to_right``, pairs.
    """
    return effects_and_draws(logits, judged)[0]


def effects_and_draws(logits: np.ndarray, judged: Judged) -> tuple[pd.DataFrame, np.ndarray]:
    """`effects`, and the relative accuracy change in every draw of the bootstrap, [intervention, draw]."""
    sums = by_query(np.concatenate([judged.baseline[None], logits]), judged.grades, judged.query_ids)
    values, moved = measures(sums[1:].sum(axis=1)), changes(sums[1:].sum(axis=1), sums[0].sum(axis=0))
    intervals, drawn = _drawn(sums, judged.drawn)
    columns = {"accuracy": values.pop("accuracy")}
    for name in moved:
        of = name.removesuffix("_change")
        columns |= {of: values[of]} if of in values else {}
        lows, highs = zip(*(one[name] for one in intervals), strict=True)
        columns |= {name: moved[name], f"{name}_low": np.array(lows), f"{name}_high": np.array(highs)}
    lost, won = (flips.sum(axis=1) for flips in _flips(logits, judged))
    return pd.DataFrame(columns | {"right_to_wrong": lost, "wrong_to_right": won}), drawn


def _drawn(sums: np.ndarray, queries: Bootstrap) -> tuple[list[dict[str, Ends]], np.ndarray]:
    """Each intervention's intervals by name, and its CHANGE in every draw, of sums whose first is the baseline's."""
    base, intervals, drawn = queries.sums(sums[0]), [], []
    for one in sums[1:]:
        again = changes(queries.sums(one), base)
        intervals.append({name: queries.interval(values) for name, values in again.items()})
        drawn.append(again[CHANGE])
    return intervals, np.array(drawn)


def _flips(logits: np.ndarray, judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that each intervention makes wrong, and those that it makes right, bool [intervention, pair] each."""
    right, before = logits.argmax(-1) == judged.grades, judged.baseline.argmax(-1) == judged.grades
    return before & ~right, ~before & right


def significance(logits: np.ndarray, judged: Judged) -> pd.DataFrame:
    """Whether each intervention's effect on accuracy is more than chance, corrected over all of them.

    Returns:
        One row an intervention: ``p`` (sign flips per query), ``mcnemar_p``, ``q`` (Benjamini-Hochberg over the rows),
        ``verdict`` and the ``metric`` it is about, ``detectable``: the smallest relative change this sample would find.
    """
    lost, won = _flips(logits, judged)
    in_query, right = of_query(judged.query_ids), judged.baseline.argmax(-1) == judged.grades
    differences = (won.astype(float) - lost) @ in_query  # [intervention, query]
    p = sign_flips(differences.astype(np.float32), judged.seed)
    q = q_values(p)
    drawn = judged.drawn.means(differences.T, in_query.sum(axis=0)[:, None])
    direction = np.where(differences.sum(axis=1) < 0, NEEDED, HARMFUL)
    with np.errstate(invalid="ignore", divide="ignore"):
        smallest = np.maximum(detectable(drawn), FEWEST / len(right)) / right.mean()
    return pd.DataFrame(
        {
            "p": p,
            "mcnemar_p": mcnemar(lost.sum(axis=1), won.sum(axis=1)),
            "q": q,
            "verdict": np.where(q < SIGNIFICANT, direction, NOTHING),
            "metric": "accuracy",
            "detectable": smallest,
        }
    )


def predicted_counts(logits: np.ndarray) -> pd.DataFrame:
    """How often each grade is predicted, ``predicted_0`` onwards, one row an intervention."""
    predicted, count = logits.argmax(-1), logits.shape[-1]
    return pd.DataFrame({f"predicted_{grade}": (predicted == grade).sum(axis=1) for grade in range(count)})
