"""How a finding is judged: parts that hold, fail or stay undecided, and the verdict that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.analysis.article import CLAIMS

AGREES, DIFFERS, CANNOT_TELL = "agrees", "differs", "cannot tell"
VERDICTS = (AGREES, DIFFERS, CANNOT_TELL)
MIN_DRAWS = 3  # random draws below which nothing is said about them


@dataclass(frozen=True)
class Part:
    """One thing a finding says: `holds` is True, False, or None where the data does not decide; `text` says why."""

    holds: bool | None
    text: str

    @classmethod
    def judged(cls, holds: bool | None, yes: str, no: str, unsure: str, figures: str) -> Self:
        """A part worded by its outcome, with the figures that decided it."""
        return cls(holds, f"{unsure if holds is None else yes if holds else no} ({figures})")


@dataclass(frozen=True)
class Finding:
    """A finding of the article's beside this run's.

    Attributes:
        id: the article's experiment, such as "R1".
        statement: what is tested, in one sentence.
        article: the article's figure, "not stated" where it gives none.
        measured: this run's figure.
        verdict: "agrees", "differs" or "cannot tell".
        reason: one sentence built from the numbers.
    """

    id: str
    statement: str
    article: str
    measured: str
    verdict: str
    reason: str


def conclude(name: str, measured: str, parts: Sequence[Part]) -> Finding:
    """The finding `name`: it differs if any part fails, else cannot tell if any is undecided, else agrees."""
    outcomes = [part.holds for part in parts]
    if False in outcomes:
        verdict = DIFFERS
    elif None in outcomes:
        verdict = CANNOT_TELL
    else:
        verdict = AGREES
    reason = "; ".join(part.text for part in parts)
    claim = CLAIMS[name]
    return Finding(name, claim.statement, claim.figure, measured, verdict, f"{reason[0].upper()}{reason[1:]}.")


def at_least(value: float, holds: float, fails: float) -> bool | None:
    """True from `holds` up, False from `fails` down, None between or where the value is NaN. `holds` > `fails`."""
    if np.isnan(value):
        return None
    return True if value >= holds else False if value <= fails else None


def percent(fraction: float) -> str:
    """A signed percentage with one decimal; "undefined" for NaN, and never "-0.0%"."""
    if np.isnan(fraction):
        return "undefined"
    return f"{round(100 * fraction, 1) + 0.0:+.1f}%"


def spread(draws: np.ndarray) -> str:
    """The median of random draws, their number and their range, in percent."""
    if not len(draws):
        return "none drawn"
    return (
        f"median {percent(float(np.median(draws)))} ({len(draws)} draws, "
        f"{percent(float(draws.min()))} to {percent(float(draws.max()))})"
    )
