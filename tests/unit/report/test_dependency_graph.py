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
def test_a_relay_head_is_shown_on_every_token_of_the_texts_and_by_kind_of_all(tokens: list[str]):
    record = frames.example_record(tokens)
    results = dataclasses.replace(frames.results(2, 4), example_cls_attention=[record])
    (drawn,) = dependency_graph.relay_head_charts(results)
    found = svg_texts(drawn)
    special = {"[CLS]", "[SEP]"}
    assert [one for one in found if one in set(tokens) - special] == [one for one in tokens if one not in special]
    assert [one for one in found if one in special] == ["[CLS]", "[SEP]"]
    assert f"[CLS] {100 / len(tokens):.1f}% and 0.0%, [SEP] {200 / len(tokens):.1f}% and" in drawn.words.caption
    unmasked = [f"{100 * record['kinds'].count(kind) / len(tokens):.1f}%" for kind in ("[CLS]", "[SEP]", "shared term")]
    assert [one for one in found if one.endswith("%")][:3] == unmasked
