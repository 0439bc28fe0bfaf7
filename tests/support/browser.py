"""Chromium as the tests use it: found on the machine, driven by Playwright, every page watched."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.report.explorer.contract import PageData
from pipeline.report.explorer.page import render_page

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Path of the browser, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def chromium() -> str:
    """Path of the browser. Without one the test fails in CI (the variable CI is set) and is skipped elsewhere."""
    found = find_chromium()
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium is installed (Debian: chromium)")
    return found


@contextmanager
def started_browser(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visits:
    """Pages opened from disk, what they said in the console, and what they asked for."""

    def __init__(self, browser: Browser, folder: Path, width: int = 1400, height: int = 1000, theme="light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        self.folder = folder
        self.said: list[str] = []
        self.requests: list[str] = []

    def open(self, data: PageData, state: str = "") -> Page:
        file = self.folder / "explorer.html"
        file.write_text(render_page(data), encoding="utf-8")
        page = self.open_file(file, state)
        page.wait_for_selector('[role="grid"]')
        return page

    def open_file(self, file: Path, state: str = "") -> Page:
        page = self.context.new_page()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(file.as_uri() + state)
        return page


@contextmanager
def watched_visits(browser: Browser, folder: Path, **window) -> Iterator[Visits]:
    """Visits in a window of their own, which must have said nothing by the end."""
    visits = Visits(browser, folder, **window)
    try:
        yield visits
    finally:
        visits.context.close()
    assert visits.said == []
