"""Draw docs/explorer.png, the README's picture: reports/explorer.html at head 1.1 and the pairs that break without it.

python -m tests.explorer_picture
"""

import io
import sys
from pathlib import Path

from PIL import Image

from pipeline.core import paths
from tests.support.browser import find_chromium, started_browser

PICTURE = Path("docs/explorer.png")
STATE = "#head=1.1&shown=worse&search=phenomenon%3Dword_order"
WIDTH, HEIGHT = 1400, 1300
COLOURS = 128  # of its palette: few enough for a small file, enough for the reds


def main() -> None:
    browser_path = find_chromium()
    if browser_path is None:
        sys.exit("no Chromium is installed (Debian: chromium)")
    if not paths.EXPLORER.is_file():
        sys.exit(f"{paths.EXPLORER} is missing: make repro")
    with started_browser(browser_path) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(paths.EXPLORER.absolute().as_uri() + STATE)
        page.locator("#pairs tbody tr").first.wait_for()
        page.locator(".matrix rect").first.wait_for()
        drawn = Image.open(io.BytesIO(page.screenshot()))
    drawn.convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)
    print(PICTURE)


if __name__ == "__main__":
    main()
