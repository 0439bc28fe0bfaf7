"""Decisions by rungs whose outcomes are given."""

import numpy as np

from pipeline.core.heads import every_head
from pipeline.pruning.confirmation import JudgedRung, NonInferiority
from pipeline.pruning.decision import CONFIRMED, NOT_CONFIRMED, NOTHING, decide
from pipeline.pruning.search import Rung
from pipeline.pruning.units import Unit

HEADS = every_head(1, 4)
FIRST, SECOND, THIRD = Unit("head", 0, 2), Unit("head", 0, 0), Unit("head", 0, 3)
BLOCK = Unit("neurons", 0, 1)


def judged(removed, outcomes):
    """A rung with (within, passed) of all pairs and of slices."""
    parts = [
        NonInferiority(("kind", str(number)) if number else ("all", "all"), 50, -0.01, -0.03, 0.02, *outcome)
        for number, outcome in enumerate(outcomes)
    ]
    return JudgedRung(Rung(tuple(removed), 0.1), parts, np.zeros((2, 2)))


GOOD, CLOSE, BAD = (True, True), (True, False), (False, False)
SMALL, LARGE, LARGEST = [FIRST, BLOCK], [FIRST, BLOCK, SECOND], [FIRST, BLOCK, SECOND, THIRD]


def decisions(rungs, confirmable=True, protected=None):
    decision = decide(rungs, protected or {}, HEADS, "accuracy", confirmable)
    return decision, [head.decision for head in decision.heads]


def test_the_largest_size_before_the_first_failure_goes():
    rungs = [judged(SMALL, [GOOD]), judged(LARGE, [GOOD, CLOSE]), judged(LARGEST, [GOOD])]
    decision, heads = decisions(rungs)
    assert (decision.status, decision.removed) == (CONFIRMED, tuple(SMALL))
    assert heads == ["uncertain", "keep", "remove", "keep"]
    assert "with 1 head and 1 block of neurons" in decision.heads[2].reason
    assert "at worst, within the margin" in decision.heads[2].reason
    assert "where kind is 1" in decision.heads[0].reason


def test_where_all_sizes_pass_the_last_one_goes():
    decision, heads = decisions([judged(SMALL, [GOOD]), judged(LARGE, [GOOD])])
    assert decision.removed == tuple(LARGE)
    assert heads == ["remove", "keep", "remove", "keep"]
    assert decision.heads[1].reason == "changes the predictions more than those that go"


def test_nothing_goes_where_the_first_size_fails():
    decision, heads = decisions([judged(SMALL, [BAD])])
    assert (decision.status, decision.removed) == (NOTHING, ())
    assert heads == ["keep", "keep", "uncertain", "keep"]
    assert decision.heads[0].reason == "changes the predictions more than those tried first, which may not go either"


def test_a_sample_that_cannot_confirm_decides_by_the_changes_and_says_so():
    decision, heads = decisions([judged(SMALL, [CLOSE]), judged(LARGE, [BAD])], confirmable=False)
    assert (decision.status, decision.removed) == (NOT_CONFIRMED, tuple(SMALL))
    assert heads == ["uncertain", "keep", "remove", "keep"]
    assert "the change itself within the margin" in decision.heads[2].reason


def test_a_part_within_the_margin_is_not_blamed_where_changes_decide():
    decision, _ = decisions([judged(SMALL, [CLOSE]), judged(LARGE, [CLOSE, BAD])], confirmable=False)
    assert "where kind is 1" in decision.heads[0].reason
    assert "beyond the margin" in decision.heads[0].reason


def test_protected_heads_are_named_with_their_reason():
    decision, heads = decisions([judged(SMALL, [GOOD])], protected={Unit("head", 0, 1): "the user's"})
    assert heads == ["keep", "protected", "remove", "keep"]
    assert decision.heads[1].reason == "the user's"
