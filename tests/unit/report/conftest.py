"""Every figure of these tests is drawn in the report's style."""

from collections.abc import Iterator

import pytest

from pipeline.report.canvas import font_families, report_style
from tests.support import frames


@pytest.fixture(autouse=True)
def house_style(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the fonts for the module's STYLED_TEXTS, or for a Chinese text."""
    with report_style(font_families(getattr(request.module, "STYLED_TEXTS", [frames.CHINESE_TEXT]))):
        yield
