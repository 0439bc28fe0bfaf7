"""Tests that share what is costly to make run in one process; else each makes its own, and the suite is slow."""

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="the tests run in one process")
def test_tests_are_grouped(request):
    """xdist tells groups by the end of a test's name; a pytest that it does not fit leaves the names as they are."""
    assert request.node.nodeid.endswith("@test_distribution")
