"""The decision on every head: removed, kept, protected or uncertain, each with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pipeline.core.counts import counted
from pipeline.core.heads import Head
from pipeline.pruning.confirmation import JudgedRung, NonInferiority
from pipeline.pruning.search import Rung
from pipeline.pruning.units import HEAD, Unit, count_heads
from pipeline.tables.pruning import KEEP, PROTECTED, REMOVE, UNCERTAIN, WHOLE

CONFIRMED, NOT_CONFIRMED, NOTHING = "confirmed", "not confirmed", "nothing can go"


@dataclass(frozen=True)
class HeadDecision:
    """Decision on a head."""

    layer: int
    head: int
    decision: str
    reason: str


@dataclass(frozen=True)
class Decision:
    """Decision on a model.

    Attributes:
        status: CONFIRMED, NOT_CONFIRMED or NOTHING.
        removed: units that go.
        heads: every head's decision, by layer, then head.
    """

    status: str
    removed: tuple[Unit, ...]
    heads: list[HeadDecision]


def decide(
    judged: Sequence[JudgedRung],
    protected: Mapping[Unit, str],
    heads: Sequence[Head],
    measure: str,
    confirmable: bool,
) -> Decision:
    """Decide by the largest rung before the first that fails.

    Args:
        judged: rungs in rising order; what follows the first that fails is not read.
        protected: why a unit is.
        heads: all there are.
        measure: its label.
        confirmable: whether the sample can confirm the margins; if not, a rung passes whose changes themselves lie
            within them, and is called not confirmed.
    """
    passing = list(takewhile(lambda one: one.passed if confirmable else one.within, judged))
    failed = judged[len(passing)] if len(passing) < len(judged) else None
    removed = passing[-1].rung.removed if passing else ()
    status = NOTHING if not passing else CONFIRMED if confirmable else NOT_CONFIRMED
    others = "those that go" if removed else "those tried first, which may not go either"

    def reason(unit: Unit) -> tuple[str, str]:
        if unit in protected:
            return PROTECTED, protected[unit]
        if unit in removed:
            size = next(one for one in passing if unit in one.rung.removed)
            extent = "within" if size.parts[0].passed else "the change itself within"
            return REMOVE, f"with {_count(size.rung)} gone {_outcome(size.parts[0], measure, extent)}"
        if failed is not None and unit in failed.rung.removed:
            wrong = next(part for part in failed.parts if not (part.passed if confirmable else part.within))
            return UNCERTAIN, f"with {_count(failed.rung)} gone {_outcome(wrong, measure, 'beyond')}"
        return KEEP, f"changes the predictions more than {others}"

    return Decision(status, removed, [HeadDecision(*head, *reason(Unit(HEAD, *head))) for head in heads])


def _outcome(part: NonInferiority, measure: str, extent: str) -> str:
    where = "" if part.part == WHOLE else f" where {part.part[0]} is {part.part[1]}"
    return (
        f"{measure}{where} changes by {part.change:+.4f}, {part.worst:+.4f} at worst, {extent} the margin of "
        f"{part.margin:g}"
    )


def _count(rung: Rung) -> str:
    heads = count_heads(rung.removed)
    blocks = len(rung.removed) - heads
    of_neurons = f" and {counted(blocks, 'block')} of neurons" if blocks else ""
    return counted(heads, "head") + of_neurons
