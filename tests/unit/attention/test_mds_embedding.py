import numpy as np
import pytest
from scipy.spatial.distance import cdist

from pipeline.attention.head_similarity import mds_embedding


def random_points(dimensions: int, count: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimensions)) * np.arange(dimensions, 0, -1)


@pytest.mark.parametrize("seed", range(3))
def test_points_of_a_plane_keep_their_distances(seed):
    distances = cdist(*[random_points(2, seed=seed)] * 2)
    points, shares = mds_embedding(distances)
    np.testing.assert_allclose(cdist(points, points), distances, atol=1e-9)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] > shares[1]


def test_points_of_a_space_lose_what_the_other_principal_components_hold():
    given = random_points(5)
    singular = np.linalg.svd(given - given.mean(axis=0), compute_uv=False)
    points, shares = mds_embedding(cdist(given, given))
    np.testing.assert_allclose(shares, singular[:2] ** 2 / (singular**2).sum())
    np.testing.assert_allclose((points**2).sum(axis=0), singular[:2] ** 2)


def test_each_axis_is_positive_at_its_outermost_point_and_centred():
    distances = cdist(*[random_points(4)] * 2)
    points, _ = mds_embedding(distances)
    outermost = np.abs(points).argmax(axis=0)
    assert (points[outermost, [0, 1]] > 0).all()
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_array_equal(points, mds_embedding(distances.copy())[0])


def test_what_no_space_can_show_counts_against_the_axes():
    """Steps along a star of three arms. Its eigenvalues by hand: 2, 2, 0 and -1/4."""
    star = np.array([[0, 1, 1, 1], [1, 0, 2, 2], [1, 2, 0, 2], [1, 2, 2, 0]], dtype=float)
    np.testing.assert_allclose(mds_embedding(star)[1], [2 / 4.25, 2 / 4.25])


def test_distances_along_a_line_leave_the_second_axis_empty():
    line = np.abs(np.subtract.outer([0.0, 1.0, 3.0], [0.0, 1.0, 3.0]))
    points, shares = mds_embedding(line)
    np.testing.assert_allclose(np.abs(np.diff(points[:, 0])), [1, 2])
    np.testing.assert_allclose(points[:, 1], 0, atol=1e-6)
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_things_that_are_all_the_same_lie_at_the_centre(count):
    points, shares = mds_embedding(np.zeros((count, count)))
    np.testing.assert_array_equal(points, np.zeros((count, 2)))
    assert np.isnan(shares[0])
