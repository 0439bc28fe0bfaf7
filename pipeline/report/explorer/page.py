"""The explorer's page: data, script and style in one HTML file that makes no request and runs nothing else.

The data is packed, so no text of a user's table can end the element that holds it. A Content-Security-Policy names the
script and the style by their hashes and allows nothing else but pictures made in the page.
"""

import base64
import gzip
import hashlib
import html
from pathlib import Path

from pipeline.report.explorer.contract import Comparison, Explorer, PageData
from pipeline.report.explorer.packing import COMPRESSION
from pipeline.report.text import visible

BUNDLE = Path(__file__).parent / "bundle"
TITLE = "Head explorer"


def explorer_json(data: PageData) -> str:
    """The page's data, of one run explorer.json: no spaces, keys in the contract's order."""
    return data.model_dump_json() + "\n"


def render_page(data: PageData) -> str:
    """The page of one run or of two, the same bytes for the same data."""
    script, style = _bundled("main.js"), _bundled("main.css")
    packed = base64.b64encode(gzip.compress(explorer_json(data).encode("utf-8"), COMPRESSION, mtime=0)).decode()
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(script, style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{TITLE}: {html.escape(_name(data))}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{_warnings(data)}
<div id="app"><p>This page needs JavaScript: it draws everything from data in the file itself.</p></div>
<script type="application/octet-stream" id="explorer-data">{packed}</script>
<script>{script}</script>
</body>
</html>
"""


def page_size(explorer: Explorer) -> int:
    """Bytes of the page."""
    return len(render_page(explorer).encode("utf-8"))


def _warnings(data: PageData) -> str:
    """Why the results may say little, "" where nothing is known."""
    if isinstance(data, Comparison):
        runs = zip(data.names, (data.first, data.second), strict=True)
        sentences = [f"{name}: {sentence}" for name, explorer in runs for sentence in explorer.run.warnings]
    else:
        sentences = data.run.warnings
    listed = "\n".join(f"<p>{html.escape(visible(sentence))}</p>" for sentence in sentences)
    return f'<aside class="warnings" aria-label="Warnings">\n{listed}\n</aside>' if listed else ""


def _name(data: PageData) -> str:
    if isinstance(data, Comparison):
        return " and ".join(data.names)
    return next((value for name, value in data.run.setting if name == "Data"), "")


def _bundled(name: str) -> str:
    """A file of the bundle without what ends the element that holds it. Raises ValueError: it holds that."""
    text = (BUNDLE / name).read_text(encoding="utf-8").strip("\n")
    if "</script" in text.lower() or "</style" in text.lower():
        raise ValueError(f"{BUNDLE / name} ends the element that holds it")
    return text


def _policy(script: str, style: str) -> str:
    hashes = {name: _hash(text) for name, text in (("script", script), ("style", style))}
    return f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; img-src data:"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'"
