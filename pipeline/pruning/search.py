"""Search for what can go: units leave a few at a time, and what is left is scored again each time.

One order from a single scoring is far worse (8 to 18 points of accuracy at half of the heads): what a head does is done
by another once it is gone.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.pruning.units import HEAD, PrunableUnits, Unit

RUNGS = 8  # sizes of the ladder
LARGEST = 2 / 3  # share of the heads that the last rung removes, without a budget
SCORINGS = 2  # of each rung
POOL = 3  # times as many units are scored again as leave, those that added least the last time

# Divergences [set] of what is left without each of some sets of units.
Score = Callable[[Sequence[Collection[Unit]]], np.ndarray]


@dataclass(frozen=True)
class Rung:
    """A size of the ladder.

    Attributes:
        removed: units in the order in which they left.
        divergence: from the unmasked predictions without them, as scored.
    """

    removed: tuple[Unit, ...]
    divergence: float


def search(
    score: Score, units: PrunableUnits, protected: Collection[Unit] = (), budget: float | None = None
) -> list[Rung]:
    """Search a ladder of growing sets, each part of the next.

    A unit's price is what its absence adds to the divergence, for each parameter that it saves. The heads of the lowest
    price leave, as many as the rung is large, and with them blocks of neurons of no higher price, see
    `PrunableUnits.blocks_beside`.

    Args:
        score: divergences of sets.
        units: all that there are.
        protected: those that stay.
        budget: share of the heads that the last rung removes; None: LARGEST.
    """
    price = {unit: 0.0 for unit in units.every() if unit not in set(protected)}
    largest = min(
        round((LARGEST if budget is None else budget) * units.layers * units.heads),
        sum(unit.kind == HEAD for unit in price),
    )
    steps = np.arange(1, RUNGS * SCORINGS + 1) / (RUNGS * SCORINGS)
    sizes = np.unique(np.ceil(largest * steps).astype(int)) if largest else np.empty(0, dtype=int)
    removed, rungs = list[Unit](), list[tuple[Unit, ...]]()
    for number, size in enumerate(sizes, start=1):
        count = int(size) - sum(unit.kind == HEAD for unit in removed)
        pool = _pool(price, units, count) if removed else list(price)
        base, *without = score([removed, *([*removed, unit] for unit in pool)])
        price |= {unit: (value - base) / units.parameters[unit.kind] for unit, value in zip(pool, without, strict=True)}
        leaving = _leaving(price, units, count)
        removed += leaving
        for unit in leaving:
            del price[unit]
        if number % SCORINGS == 0 or number == len(sizes):
            rungs.append(tuple(removed))
    return [Rung(rung, float(value)) for rung, value in zip(rungs, score(rungs), strict=True)] if rungs else []


def _pool(price: dict[Unit, float], units: PrunableUnits, count: int) -> list[Unit]:
    """Units to score again: POOL times as many of the lowest price as may leave with `count` heads."""
    heads, blocks = _by_price(price)
    return heads[: POOL * count] + blocks[: POOL * units.blocks_beside(count)]


def _leaving(price: dict[Unit, float], units: PrunableUnits, count: int) -> list[Unit]:
    """The `count` heads of the lowest price, and the blocks that go with them."""
    heads, blocks = _by_price(price)
    heads = heads[:count]
    return heads + [unit for unit in blocks[: units.blocks_beside(count)] if price[unit] <= price[heads[-1]]]


def _by_price(price: dict[Unit, float]) -> tuple[list[Unit], list[Unit]]:
    """Heads and blocks, each by rising price."""
    ranked = sorted(price, key=price.__getitem__)
    return [unit for unit in ranked if unit.kind == HEAD], [unit for unit in ranked if unit.kind != HEAD]
