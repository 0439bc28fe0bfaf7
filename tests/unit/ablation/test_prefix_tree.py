"""Parts of a prefix tree: of each pair what leads to the rows that are called of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ablation.prefix_tree import StateNode, build_prefix_tree, memberships, restricted
from pipeline.ablation.work_units import Treatments

LAYERS = 3


def random_tree(seed: int, rows: int) -> tuple[np.ndarray, StateNode]:
    masks = np.random.default_rng(seed).choice([0, 1, 1], (rows, LAYERS, 2)).astype(np.float32)
    return masks, build_prefix_tree(Treatments.of_masks(masks))


def paths(node: StateNode, above: tuple = ()) -> dict[tuple, list[int]]:
    """The rows behind the last layer, by what every layer loses on the way."""
    if len(above) == LAYERS:
        return {above: node.members.tolist()}
    branches = ((child.heads, state) for child in node.children for state in child.states)
    return {path: rows for heads, state in branches for path, rows in paths(state, (*above, tuple(heads))).items()}


@given(seed=st.integers(0, 1000), rows=st.integers(1, 12), density=st.floats(0, 1))
def test_a_pairs_part_leads_to_its_called_rows_by_the_same_path(seed: int, rows: int, density: float):
    masks, tree = random_tree(seed, rows)
    called = np.random.default_rng(seed).random((rows, 5)) < density
    for pair, part in enumerate(restricted(tree, called)):
        expected: dict[tuple, list[int]] = {}
        for row in np.flatnonzero(called[:, pair]).tolist():
            expected.setdefault(tuple(tuple(np.flatnonzero(layer == 0)) for layer in masks[row]), []).append(row)
        assert ({} if part is None else paths(part)) == expected
        assert part is None or part.members.tolist() == np.flatnonzero(called[:, pair]).tolist()


def test_what_leads_to_called_rows_alone_is_shared():
    masks = np.ones((3, LAYERS, 2), dtype=np.float32)
    masks[1, 0, 0] = masks[2, 1, 1] = 0
    tree = build_prefix_tree(Treatments.of_masks(masks))
    whole, without_last = restricted(tree, np.array([[True, True], [True, True], [True, False]]))
    assert whole is tree
    assert without_last is not None
    branches = {tuple(child.heads): child for child in tree.children}
    parts = {tuple(child.heads): child for child in without_last.children}
    assert parts[0,] is branches[0,]  # row 1 alone
    assert parts[()] is not branches[()]  # rows 0 and 2, of which 2 is left out


def test_memberships_name_the_node_of_every_row():
    none = np.empty(0, dtype=np.int64)
    nodes = [StateNode(np.array(members, dtype=np.int64), none, []) for members in ([4], [], [2, 7])]
    members, numbers = memberships(nodes)
    assert members.tolist() == [4, 2, 7]
    assert numbers.tolist() == [0, 2, 2]
