import dataclasses
import html
import re
from collections.abc import Iterator

import pytest

from pipeline.report import canvas, dependency_graph
from tests.support import frames


@pytest.fixture(autouse=True)
def _house_style() -> Iterator[None]:
    with canvas.report_style(canvas.font_families([frames.CHINESE_TEXT])):
        yield


def written(drawn) -> list[str]:
    return [html.unescape(one) for one in re.findall(r"<!-- (.*?) -->", drawn.svg.decode())]


def test_the_graph_draws_the_strongest_edges_told_from_chance():
    results = frames.results(6, 12)
    drawn = dependency_graph.dependency_graph(results)
    assert "The 30 strongest of 60 edges (of 60)" in drawn.words.caption
    assert "from layer 0 head 11 to layer 1 head 11 (distance 0.24)" in drawn.words.caption
    labels = written(drawn)
    assert labels.index("term_match") < labels.index("cls")
    untold = dataclasses.replace(results, edges=results.edges.assign(q=0.5))
    assert "no edge is told from chance" in dependency_graph.dependency_graph(untold).words.alt


@pytest.mark.parametrize("tokens", [frames.ENGLISH, frames.CHINESE])
def test_a_reader_is_shown_on_every_token_but_cls_itself(tokens: list[str]):
    results = dataclasses.replace(frames.results(2, 4), example_cls_attention=[frames.shown_reader(tokens)])
    (drawn,) = dependency_graph.relay_head_charts(results)
    found = written(drawn)
    assert [one for one in found if one in set(tokens)] == tokens[1:]
    assert "[CLS]" not in found
    assert f"its attention to itself, {100 / len(tokens):.0f}% and 0%, is left out" in drawn.words.caption
