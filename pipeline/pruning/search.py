"""Search for what can go: units leave a few at a time, and what is left is scored again each time.

One order from a single scoring is far worse (8 to 18 points of accuracy at half of the heads): what a head does is done
by another once it is gone.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.pruning.units import HEAD, PrunableUnits, Unit, count_heads

SHARES = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 7 / 8)  # of the heads, sizes of the ladder
SCORINGS = 2  # from one size to the next
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


def climb(
    score: Score,
    units: PrunableUnits,
    protected: Collection[Unit] = (),
    budget: float | None = None,
    shares: Sequence[float] = SHARES,
) -> Iterator[Rung]:
    """Climb a ladder of growing sets, each part of the next; what is above is searched when it is asked for.

    A unit's price is what its absence adds to the divergence, for each parameter that it saves. The heads of the lowest
    price leave, as many as the rung is large, and with them blocks of neurons of no higher price, see
    `PrunableUnits.blocks_beside`.

    Args:
        score: divergences of sets.
        units: all that there are.
        protected: those that stay.
        budget: share of the heads that the last rung removes; None: the last of `shares`.
        shares: of the heads, rising, that the rungs remove.
    """
    candidates = [unit for unit in units.every() if unit.kind == HEAD or units.per_head]
    price = {unit: 0.0 for unit in candidates if unit not in set(protected)}
    removed = list[Unit]()
    for size in _sizes(units, shares, budget, count_heads(price)):
        gone = count_heads(removed)
        for count in filter(None, np.diff(np.linspace(gone, size, SCORINGS + 1).astype(int)).tolist()):
            leaving = _leaving(score, units, price, removed, count)
            removed += leaving
            for unit in leaving:
                del price[unit]
        yield Rung(tuple(removed), float(score([removed])[0]))


def _sizes(units: PrunableUnits, shares: Sequence[float], budget: float | None, free: int) -> list[int]:
    """Numbers of heads that the rungs remove, of `free` ones that may go."""
    within = shares if budget is None else [*(share for share in shares if share < budget), budget]
    sizes = np.ceil(np.array(within) * units.layers * units.heads).astype(int).clip(max=free)
    return [int(size) for size in np.unique(sizes) if size]


def _leaving(
    score: Score, units: PrunableUnits, price: dict[Unit, float], removed: Sequence[Unit], count: int
) -> list[Unit]:
    """The `count` heads that leave next, and the blocks that go with them; prices are updated."""
    pool = list(price)
    if removed:
        heads, blocks = _by_price(price)
        pool = heads[: POOL * count] + blocks[: POOL * units.blocks_beside(count)]
    base, *without = score([removed, *([*removed, unit] for unit in pool)])
    price |= {unit: (value - base) / units.parameters[unit.kind] for unit, value in zip(pool, without, strict=True)}
    heads, blocks = _by_price(price)
    cheap = [unit for unit in blocks if price[unit] <= price[heads[count - 1]]]
    return heads[:count] + cheap[: units.blocks_beside(count)]


def _by_price(price: dict[Unit, float]) -> tuple[list[Unit], list[Unit]]:
    """Heads and blocks, each by rising price."""
    ranked = sorted(price, key=price.__getitem__)
    return [unit for unit in ranked if unit.kind == HEAD], [unit for unit in ranked if unit.kind != HEAD]
