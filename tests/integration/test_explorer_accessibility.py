"""The explorer against the rules of axe (WCAG and its own best practices), in its main states, themes and widths."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from pipeline.report.explorer.build import build_explorer
from pipeline.report.explorer.contract import Explorer
from pipeline.stats.measure_sets import GRADER, RANKER, MeasureSet
from tests.support.browser import watched_visits
from tests.support.explorer import explorer_inputs

STATES = {
    "first load": "",
    "a head and its pairs": "#head=1.3&shown=all",
    "a pair before fine-tuning": "#head=1.2&special=1&phase=before&by=verdict",
    "a measured group": "#group=0.0,0.1&scope=group&by=function",
    "an estimated group": "#group=0.0,0.1,1.2&scope=group&by=term_match",
}
TOKENS = ("[CLS]", *"abcdefgh", "[SEP]", *"abcdefghijklmno", "[SEP]")  # a matrix wider than a phone

OTHER_WINDOWS = [("light", 800), ("light", 390), ("dark", 1280), ("dark", 800), ("dark", 390)]


def example(of: MeasureSet) -> Explorer:
    return build_explorer(explorer_inputs(heads=16, of=of, mapped=2, tokens=TOKENS), shown=2, mib=2)


def broken_rules(page: Page) -> Sequence[str]:
    """Rules that the page breaks, with the elements that do."""
    violations = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {[node['target'] for node in rule['nodes']]}" for rule in violations]


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", 1280),
        *(pytest.param(*window, marks=pytest.mark.slow) for window in OTHER_WINDOWS),
    ],
)
def test_no_rule_is_broken(theme: str, width: int, browser: Browser, tmp_path: Path):
    explorer = example(GRADER)
    with watched_visits(browser, tmp_path, width=width, theme=theme) as visits:
        for name, state in STATES.items():
            page = visits.open(explorer, state)
            page.locator(".matrix rect").first.wait_for()
            assert broken_rules(page) == [], name
            page.close()


def test_a_rankers_page_breaks_none(browser: Browser, tmp_path: Path):
    with watched_visits(browser, tmp_path, width=800) as visits:
        page = visits.open(example(RANKER), "#head=0.1&shown=all")
        page.locator(".matrix rect").first.wait_for()
        assert broken_rules(page) == []


def test_a_broken_rule_is_seen(browser: Browser, tmp_path: Path):
    with watched_visits(browser, tmp_path) as visits:
        page = visits.open(example(GRADER))
        page.evaluate("document.querySelector('#search').closest('label').replaceWith(document.createElement('input'))")
        assert any(rule.startswith("label:") for rule in broken_rules(page))
