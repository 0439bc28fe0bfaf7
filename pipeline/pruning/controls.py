"""Controls of a pruned set: sets of equal size chosen otherwise."""

from collections import Counter
from collections.abc import Collection
from itertools import chain

import numpy as np

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.pruning.units import HEAD, NEURONS, Kind, PrunableUnits, Unit

DRAWS = 5  # random sets of each kind
TRAINED_DRAWS = 3  # random sets that are trained again, anywhere
RANDOM, LAYER_MATCHED, MAGNITUDE = "random", "layer_matched", "magnitude"
KINDS: tuple[Kind, Kind] = (HEAD, NEURONS)


Sets = list[tuple[str, tuple[Unit, ...]]]  # how each was chosen, and itself


def control_sets(removed: Collection[Unit], units: PrunableUnits, encoder: AblatableEncoder, seed: int) -> Sets:
    """Sets of as many heads and blocks as `removed`.

    RANDOM ones anywhere; LAYER_MATCHED ones with as many in each layer; and those of the smallest output weights,
    MAGNITUDE (the norm of a head's or block's part of the output projection), which any tool can tell.
    """
    rng, every = np.random.default_rng([seed, 31]), units.every()
    drawn = [(RANDOM, _anywhere(removed, every, rng)) for _ in range(DRAWS)]
    matched = [(LAYER_MATCHED, _in_layers(removed, every, rng)) for _ in range(DRAWS)]
    return [*drawn, *matched, (MAGNITUDE, _smallest(removed, every, _norms(units, encoder)))]


def random_sets(removed: Collection[Unit], units: PrunableUnits, seed: int) -> Sets:
    """RANDOM sets, fewer, since each takes a training."""
    rng = np.random.default_rng([seed, 31])
    return [(RANDOM, _anywhere(removed, units.every(), rng)) for _ in range(TRAINED_DRAWS)]


def _anywhere(removed: Collection[Unit], every: list[Unit], rng: np.random.Generator) -> tuple[Unit, ...]:
    pools = {kind: [unit for unit in every if unit.kind == kind] for kind in KINDS}
    counts = Counter(unit.kind for unit in removed)
    return tuple(chain.from_iterable(_drawn(pools[kind], counts[kind], rng) for kind in KINDS))


def _in_layers(removed: Collection[Unit], every: list[Unit], rng: np.random.Generator) -> tuple[Unit, ...]:
    counts = Counter(unit[:2] for unit in removed)
    pools = {place: [unit for unit in every if unit[:2] == place] for place in sorted(counts)}
    return tuple(chain.from_iterable(_drawn(pool, counts[place], rng) for place, pool in pools.items()))


def _drawn(pool: list[Unit], count: int, rng: np.random.Generator) -> list[Unit]:
    return [pool[index] for index in sorted(rng.choice(len(pool), count, replace=False))]


def _smallest(removed: Collection[Unit], every: list[Unit], norms: dict[Unit, float]) -> tuple[Unit, ...]:
    counts = Counter(unit.kind for unit in removed)
    ranked = sorted(every, key=norms.__getitem__)
    return tuple(unit for kind in KINDS for unit in [one for one in ranked if one.kind == kind][: counts[kind]])


def _norms(units: PrunableUnits, encoder: AblatableEncoder) -> dict[Unit, float]:
    norms = {}
    for unit in units.every():
        layer = encoder.layers[unit.layer]
        if unit.kind == HEAD:
            part = layer.output_heads[unit.number]
        else:
            part = layer.feed_forward.neurons[np.flatnonzero(units.blocks[unit.layer] == unit.number)]
        norms[unit] = float(part.norm())
    return norms
