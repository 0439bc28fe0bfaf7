import dataclasses

import pytest

from pipeline.report import dependency_graph
from tests.support import frames
from tests.support.svg import svg_texts


def test_the_graph_draws_the_strongest_significant_edges():
    results = frames.results(6, 12)
    drawn = dependency_graph.dependency_graph(results)
    assert "The 30 strongest of 60 edges (of 60)" in drawn.words.caption
    assert "from layer 0 head 11 to layer 1 head 11 (distance 0.24)" in drawn.words.caption
    labels = svg_texts(drawn)
    assert labels.index("term_match") < labels.index("cls")
    insignificant = dataclasses.replace(results, edges=results.edges.assign(q=0.5))
    assert "no significant edge" in dependency_graph.dependency_graph(insignificant).words.alt


@pytest.mark.parametrize("tokens", [frames.ENGLISH, frames.CHINESE])
def test_a_relay_head_is_shown_on_every_token_but_cls_itself(tokens: list[str]):
    results = dataclasses.replace(frames.results(2, 4), example_cls_attention=[frames.example_record(tokens)])
    (drawn,) = dependency_graph.relay_head_charts(results)
    found = svg_texts(drawn)
    assert [one for one in found if one in set(tokens)] == tokens[1:]
    assert "[CLS]" not in found
    assert f"its attention to itself, {100 / len(tokens):.0f}% and 0%, is left out" in drawn.words.caption
