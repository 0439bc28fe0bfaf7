"""Verdicts: a finding's parts hold, fail or stay undecided, and its verdict follows; or the run cannot judge it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.findings.article import CLAIMS
from pipeline.stats.bootstrap import equivalent

AGREES, DIFFERS, CANNOT_TELL = "agrees", "differs", "cannot tell"
NOT_JUDGED = "not judged"  # the run lacks what the finding is about
VERDICTS = (AGREES, DIFFERS, CANNOT_TELL, NOT_JUDGED)
OPEN = (CANNOT_TELL, NOT_JUDGED)  # neither agrees nor differs
MIN_RANDOM_GROUPS = 3  # fewer random groups of heads decide nothing


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval, NaN where undefined.

    Attributes:
        random_groups: averaged over, 1 where none is random.
        unit: of the value; "%" shows a fraction in percent.
    """

    value: float
    low: float
    high: float
    random_groups: int = 1
    unit: str = "%"

    def above(self, edge: float) -> bool | None:
        """True where the whole interval lies above, False where it lies below, None where it contains the edge."""
        return True if self.low > edge else False if self.high < edge else None

    def below(self, edge: float) -> bool | None:
        above = self.above(edge)
        return above if above is None else not above

    def within(self, margin: float) -> bool:
        """Whether the whole interval lies within -margin to margin: equivalence with no change."""
        return bool(equivalent(self.low, self.high, margin))

    def text(self) -> str:
        if np.isnan(self.value):
            return "undefined"
        value, low, high = (self._shown(number) for number in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})" + ("" if self.unit == "%" else f" {self.unit}".rstrip())

    def _shown(self, number: float) -> str:
        return percent(number) if self.unit == "%" else f"{round(number, 3) + 0.0:+.3f}"


UNDEFINED = Estimate(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Part:
    """One condition of a finding: `holds` is True, False, or None where the data does not decide; `text` says why."""

    holds: bool | None
    text: str

    @classmethod
    def of(cls, holds: bool | None, yes: str, no: str, unsure: str, figures: str) -> Self:
        """A part worded by its outcome, with the figures that decided it."""
        return cls(holds, f"{unsure if holds is None else yes if holds else no} ({figures})")


@dataclass(frozen=True)
class Finding:
    """A finding of the article compared with this run."""

    id: str  # the article's experiment, such as "R1"
    statement: str  # the statement tested, in one sentence
    article: str  # the article's figure, "not stated" where it gives none
    measured: str  # this run's figure
    verdict: str  # one of VERDICTS
    reason: str  # one sentence built from the numbers


def conclude(name: str, measured: str, parts: Sequence[Part]) -> Finding:
    """The finding `name`: it differs if any part fails, else cannot tell if any is undecided, else agrees."""
    outcomes = [part.holds for part in parts]
    verdict = DIFFERS if False in outcomes else CANNOT_TELL if None in outcomes else AGREES
    return Finding(name, *CLAIMS[name], measured, verdict, _sentence("; ".join(part.text for part in parts)))


def not_judged(name: str, measured: str, reason: str) -> Finding:
    """The finding `name` in a run that lacks what it is about; the reason says what."""
    return Finding(name, *CLAIMS[name], measured, NOT_JUDGED, _sentence(reason))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def percent(fraction: float) -> str:
    """A signed percentage with one decimal; "undefined" for NaN, and never "-0.0%"."""
    return "undefined" if np.isnan(fraction) else f"{round(100 * fraction, 1) + 0.0:+.1f}%"
