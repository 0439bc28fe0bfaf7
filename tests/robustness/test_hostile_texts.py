"""Hostile texts at the far end: in figures, on the page and in MLflow they are texts and nothing else."""

import dataclasses
import io
import json
import unicodedata
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import mlflow
import pandas as pd
import PIL.Image
import pytest

from pipeline import tracking
from pipeline.core import paths
from pipeline.core.config import load_params
from pipeline.findings.baselines import graders_compared
from pipeline.findings.judge import judge_findings
from pipeline.findings.verdict import Finding
from pipeline.report import figures, html
from pipeline.report.canvas import RenderedFigure
from pipeline.report.results import Results
from tests.robustness.test_hostile_tables import BREAKS, TEXTS
from tests.support import frames

HOSTILE = [
    *TEXTS.values(),
    *BREAKS.values(),
    "--> <!-- -- ]]>",
    "]]><svg onload=alert(1)>",
    "$",
    "$x",
    "\\",
    "",
]
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def hostile_results() -> Results:
    """Every place that a user's text can be in holds a hostile one."""
    results = frames.results(2, 4)
    tokens = ["[CLS]", *HOSTILE[: len(HOSTILE) // 2], "[SEP]", *HOSTILE[len(HOSTILE) // 2 :], "[SEP]"]
    texts = {"query": " ".join(HOSTILE), "title": "".join(HOSTILE)}
    users = [frames.group_row("user", text, -0.03) for text in HOSTILE]
    groups = pd.concat([results.groups, pd.DataFrame(users)], ignore_index=True)
    sliced = [
        row
        for group in ("term_match", *HOSTILE[1::4])
        for value in HOSTILE[::2]
        for row in frames.slice_rows(group, value, -0.1, slicing=f"column {HOSTILE[1]}")
    ]
    by_head = results.tables.head_slices.query("slice == 'phenomenon'")
    names = dict(zip(by_head["value"].unique(), HOSTILE[1:], strict=False))
    head_slices = by_head.assign(slice=f"column {HOSTILE[2]}", value=by_head["value"].map(names))
    return dataclasses.replace(
        results,
        setting=[("Data", "data/raw/<b>\u202e.csv"), ("Model", "data/checkpoints/\"'><script>")],
        grades=HOSTILE[:5],
        tables=dataclasses.replace(results.tables, groups=groups, slices=pd.DataFrame(sliced), head_slices=head_slices),
        profiles=results.profiles[results.profiles["function"] == "term_match"],
        example_cls_attention=[frames.example_record(tokens) | texts],
        example_pairs=[dataclasses.replace(frames.example_pair(tokens, 2, 4), **texts)],
    )


@pytest.fixture(scope="module")
def results() -> Results:
    return hostile_results()


@pytest.fixture(scope="module")
def drawn(results: Results) -> dict[str, list[RenderedFigure]]:
    return figures.draw_figures(results)


def test_every_figure_is_well_formed_and_has_its_pixels(drawn: dict[str, list[RenderedFigure]]):
    pictures = [picture for section in drawn.values() for picture in section]
    assert len(pictures) > 10
    for picture in pictures:
        root = ElementTree.fromstring(picture.svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert not [
            one for one in root.iter() if "script" in str(one.tag) or any(key.startswith("on") for key in one.attrib)
        ]
        width, height = PIL.Image.open(io.BytesIO(picture.png)).size
        assert 0 < width < 6000
        assert 0 < height < 6000


class Page(HTMLParser):
    def __init__(self, source: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_holds_the_texts_and_no_tag_of_theirs(results: Results, drawn: dict[str, list[RenderedFigure]]):
    source = html.render_page(results, judge_findings(results.tables, example_baseline()), drawn)
    page = Page(source)
    assert page.open == []
    assert {"b", "svg", "iframe"}.isdisjoint(page.tags)
    assert page.tags.count("script") == 1  # the page's own
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in source
    assert {c for c in source if unicodedata.category(c) in INVISIBLE} == {"\n"}
    assert source.encode("utf-8")


def example_baseline() -> Finding:
    pairs = pd.DataFrame({"query_id": [0, 1, 2], "grade": [0, 1, 2], "predicted": 1})
    return graders_compared(pairs, pairs, 100, 1)


def test_mlflow_takes_rows_of_hostile_texts(project: Path):
    """Params, tags, metrics' names, a failure's message: the row arrives, and nothing waits in the spool."""
    params = load_params()
    changed = {"grades": HOSTILE[:5], "source": "data/raw/\u202e'\"\x07.csv"}
    named = {"experiment": "<b>'\u202e\x07 $x$"}
    params = params.model_copy(
        update={"data": params.data.model_copy(update=changed), "run": params.run.model_copy(update=named)}
    )
    with pytest.raises(ValueError, match="bell"), tracking.stage("prepare", params) as record:  # noqa: PT012
        record.tags = {f"text {number}": text for number, text in enumerate(HOSTILE)}
        record.metrics = {f"share of {text}"[:200]: 1.0 for text in ("<b>", "$x$", "\u202e", "北京", "=1")}
        raise ValueError(TEXTS["control"])
    assert not list((project / paths.TRACKING).glob("spool/*/row.json"))
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    found = client.get_experiment_by_name(params.run.experiment)
    stage, row = sorted(
        client.search_runs([found.experiment_id]), key=lambda run: run.data.tags["pipeline.kind"] == "pipeline"
    )
    assert [stage.data.tags[f"text {number}"] for number in range(len(HOSTILE))] == [text[:8000] for text in HOSTILE]
    assert json.loads(row.data.params["data.grades"]) == HOSTILE[:5]
    assert row.data.params["data.source"] == changed["source"]
    assert TEXTS["control"] in row.data.tags["error"]
    assert len(stage.data.metrics) == 5
