"""Label noise: a share of the grades moved by one step, as raters disagree."""

from collections.abc import Sequence
from random import Random


def move_grades(grades: Sequence[int], share: float, worst: int, best: int, rng: Random) -> list[int]:
    """Move `share` of the grades by one step up or down, those at an end inwards.

    Returns:
        The grades `[pair]`, of which exactly `round(share * len(grades))` differ.
    """
    moved = list(grades)
    for row in rng.sample(range(len(moved)), round(share * len(moved))):
        steps = [step for step in (-1, 1) if worst <= moved[row] + step <= best]
        moved[row] += rng.choice(steps)
    return moved
