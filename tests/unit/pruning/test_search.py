"""The ladder against sets worked by hand, scored by functions whose truth is known."""

from dataclasses import replace
from itertools import pairwise
from math import ceil

import numpy as np
import pytest

from pipeline.pruning.search import SHARES, climb
from pipeline.pruning.units import PrunableUnits, Unit

LAYERS, HEADS, BLOCKS = 3, 4, 2
UNITS = PrunableUnits(HEADS, np.repeat([[0, 1]] * LAYERS, 5, axis=1), {"head": 10, "neurons": 20}, 3)
IDLE = [Unit("head", 1, 2), Unit("head", 0, 0), Unit("neurons", 2, 1), Unit("head", 2, 3)]


def additive(weights):
    return lambda sets: np.array([sum(weights.get(unit, 1.0) for unit in units) for units in sets])


def heads(units):
    return [unit for unit in units if unit.kind == "head"]


def test_idle_units_leave_first_and_each_rung_is_part_of_the_next():
    rungs = list(climb(additive(dict.fromkeys(IDLE, 0.0)), UNITS))
    assert set(heads(rungs[-1].removed)[:3]) == set(heads(IDLE))
    assert Unit("neurons", 2, 1) in rungs[0].removed
    assert all(small.removed == large.removed[: len(small.removed)] for small, large in pairwise(rungs))
    sizes = [len(heads(rung.removed)) for rung in rungs]
    assert sizes == [1, 2, 3, 5, 6, 9, 11]
    assert sizes == sorted({ceil(share * LAYERS * HEADS) for share in SHARES})
    assert [rung.divergence for rung in rungs] == [sum(unit not in IDLE for unit in rung.removed) for rung in rungs]


@pytest.mark.parametrize(("weight", "leave"), [(0.19, True), (0.21, False)])
def test_neurons_leave_that_change_no_more_for_each_parameter(weight, leave):
    """A head has 10 parameters and changes by 0.1, a block 20."""
    weights = {unit: weight if unit.kind == "neurons" else 0.1 for unit in UNITS.every()}
    *_, last = (rung.removed for rung in climb(additive(weights), UNITS, budget=0.5))
    assert (len(heads(last)) < len(last)) == leave


def test_a_head_that_another_replaces_is_scored_again_once_that_one_is_gone():
    twins = Unit("head", 0, 1), Unit("head", 2, 2)

    def score(sets):
        lost = [10.0 * (set(twins) <= set(units)) for units in sets]
        return additive(dict.fromkeys(twins, 0.0))(sets) + np.array(lost)

    *_, removed = (rung.removed for rung in climb(score, UNITS, budget=0.5))
    assert len(set(twins) & set(removed)) == 1


def test_without_neurons_heads_leave_alone():
    (removed,) = (rung.removed for rung in climb(additive({}), replace(UNITS, per_head=0), budget=0.05))
    assert [unit.kind for unit in removed] == ["head"]


def test_protected_units_stay_and_the_budget_is_kept():
    protected = IDLE[:2]
    rungs = list(climb(additive(dict.fromkeys(IDLE, 0.0)), UNITS, protected, budget=0.25))
    assert not set(protected) & set(rungs[-1].removed)
    assert len(heads(rungs[-1].removed)) == 3
    assert list(climb(additive({}), UNITS, UNITS.every())) == []


@pytest.mark.parametrize("removed", [[], IDLE])
def test_masks_keep_all_but_the_units(removed):
    multipliers, neurons = UNITS.masks([removed])
    kept = UNITS.kept(removed)
    assert (multipliers[0] == kept.heads).all()
    assert (neurons[0] == kept.neurons).all()
    assert [tuple(place) for place in np.argwhere(~kept.heads)] == sorted(u[1:] for u in removed if u.kind == "head")
    expected = np.ones((LAYERS, BLOCKS * 5), dtype=bool)
    expected[2, 5:] = not removed
    assert (kept.neurons == expected).all()
