"""Things that have distances, drawn on a plane: classical multidimensional scaling."""

from dataclasses import dataclass

import numpy as np
from sklearn.manifold import ClassicalMDS


@dataclass(frozen=True)
class Plane:
    """
    Attributes:
        points: float64 [thing, axis], centred at 0, in the unit of the distances; the first axis varies most.
        shares: of the variance that each of the two axes holds, float64 [axis], 0 to 1; NaN where all distances are 0.
    """

    points: np.ndarray
    shares: np.ndarray


def plane(distances: np.ndarray) -> Plane:
    """Points whose distances come nearest to the given ones [thing, thing] (Torgerson 1952).

    An axis's sign is free; it is chosen so that the axis's outermost point is positive, and so the same distances give
    the same picture. An axis's share is its eigenvalue over the sum of all eigenvalues' sizes (Mardia, Kent and Bibby
    1979, 14.4.4): distances that no space of points has give negative ones, which then count as variance not shown.
    """
    things = len(distances)
    points, shares = np.zeros((things, 2)), np.zeros(2)
    with np.errstate(invalid="ignore"):  # negative eigenvalues have no root, distances of 0 no shares
        scaling = ClassicalMDS(n_components=things, metric="precomputed").fit(distances)
        of_all = scaling.eigenvalues_ / np.abs(scaling.eigenvalues_).sum()
    axes = min(things, 2)
    points[:, :axes] = np.nan_to_num(scaling.embedding_[:, :axes])
    shares[:axes] = np.maximum(of_all[:axes], 0)
    return Plane(points, shares)
