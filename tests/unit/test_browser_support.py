"""Without a browser, tests of pages fail in CI: skipped there, they would pass for run."""

import shutil

import pytest

from tests.support.browser import chromium


def test_no_browser_is_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Chromium is installed"):
        chromium()


def test_no_browser_is_a_skipped_test_elsewhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Chromium is installed"):
        chromium()
