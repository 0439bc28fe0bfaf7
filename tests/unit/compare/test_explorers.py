"""The explorers of two runs joined: planted differences are found, and no others; what cannot be compared is said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.compare.explorers import explorer_page, join_explorers, read_explorer
from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.report.explorer.build import build_explorer
from pipeline.report.explorer.contract import CommonPairs, Comparison, Explorer
from pipeline.report.explorer.page import explorer_json
from pipeline.stats.measure_sets import GRADER, RANKER
from tests.support.explorer import changed, explorer_inputs, predicting, unmasked_predictions
from tests.support.frames import run_results


def explorer_of(**inputs: Any) -> Explorer:
    return build_explorer(explorer_inputs(**inputs), shown=2, mib=2)


@pytest.fixture(scope="module")
def grader() -> Explorer:
    return explorer_of()


@pytest.fixture(scope="module")
def ranker() -> Explorer:
    return explorer_of(of=RANKER)


def joined(first: Explorer, second: Explorer) -> Comparison:
    return join_explorers("a", "b", first, second)


def differing_pairs(pairs: CommonPairs) -> list[int]:
    """Pairs that the runs predict otherwise, by position in the first run."""
    places = zip(pairs.first, pairs.before, pairs.after, strict=True)
    return [pair for pair, before, after in places if before != after]


@pytest.mark.parametrize("kind", ["grader", "ranker"])
def test_a_run_differs_from_itself_in_nothing(request, kind):
    explorer = request.getfixturevalue(kind)
    found = joined(explorer, explorer)
    assert (found.limits, found.heads) == ([], [])
    assert found.measures == [measure.name for measure in explorer.measures]
    assert found.pairs.first == found.pairs.second == list(range(24))
    assert found.pairs.before == found.pairs.after == unmasked_predictions(explorer)
    assert found.pairs.query_changes == (None if kind == "grader" else [0] * 24)
    assert found == Comparison.model_validate_json(found.model_dump_json())


def test_heads_that_changed_are_found_and_no_others(grader):
    def plant(values):
        heads = values["heads"]
        heads[2]["verdict"] = "harmful"
        for head in heads:
            head["effects"][0]["change"] = [0.5, 0.4, 0.6]  # an effect is no verdict
        for name, score in zip(values["functions"], heads[3]["scores"], strict=True):
            score["is_labelled"] = name in ("cls", "sep")
        heads[6]["decision"]["decision"] = "protected"

    found = [(change.head, change.what, change.second) for change in joined(grader, changed(grader, plant)).heads]
    assert found == [(2, "verdict", "harmful"), (3, "labels", "cls, sep"), (6, "decision", "protected")]
    backwards = joined(changed(grader, plant), grader).heads
    assert [change.first for change in backwards] == ["harmful", "cls, sep", "protected"]
    assert backwards[0].second == grader.heads[2].verdict


def test_pairs_are_joined_by_query_and_title_whatever_their_order(grader):
    order = [*range(23, 3, -1)]  # without the first query's titles

    def reorder(values):
        pairs, run = values["pairs"], values["run"]
        for name in ("rows", "query", "titles", "gold"):
            pairs[name] = [pairs[name][place] for place in order]
        pairs["slices"] = {name: [cells[place] for place in order] for name, cells in pairs["slices"].items()}
        run["pairs"] = len(order)

    was = unmasked_predictions(grader)
    other = {place: (was[pair] + (pair in (5, 17))) % 5 for place, pair in enumerate(order)}
    found = joined(grader, changed(grader, reorder, predicting(other)))
    assert found.pairs.first == list(range(4, 24))
    assert found.pairs.second == list(range(19, -1, -1))
    assert found.pairs.before == was[4:]
    assert differing_pairs(found.pairs) == [5, 17]
    assert found.limits == [
        "20 of the first run's 24 test pairs and the second's 20 are the same by query and title; "
        "effects of heads are on each run's own pairs."
    ]


def test_pairs_of_the_same_texts_are_joined_in_their_order(grader):
    def repeat(values):
        values["pairs"]["titles"][1] = values["pairs"]["titles"][0]

    twice = changed(grader, repeat)
    found = joined(twice, twice)
    assert found.pairs.first == found.pairs.second == list(range(24))


def test_a_ranker_changes_the_order_of_a_query_and_its_gain(ranker):
    """Two titles of the second query change places: its gain moves as worked out from their grades."""
    ranks = unmasked_predictions(ranker)
    best, worst = (4 + ranks[4:8].index(rank) for rank in (1, 4))
    swapped = changed(ranker, predicting({best: 4, worst: 1}))
    found = joined(ranker, swapped).pairs
    assert differing_pairs(found) == sorted([best, worst])
    gold = ranker.pairs.gold
    falls = -1 if gold[best] > gold[worst] else 1
    assert np.sign(found.query_changes).tolist() == [falls if 4 <= pair < 8 else 0 for pair in range(24)]


def test_ranks_are_among_the_titles_of_both_runs(ranker):
    def rename(values):
        values["pairs"]["titles"][best] = "a title of the second run alone"

    ranks = unmasked_predictions(ranker)
    best = ranks.index(1)
    found = joined(ranker, changed(ranker, rename)).pairs
    assert found.before == found.after
    of_query = [rank for pair, rank in zip(found.first, found.before, strict=True) if pair < 4]
    assert sorted(of_query) == [1, 2, 3]
    assert best not in found.first


def test_models_of_other_shapes_are_compared_in_pairs_alone(grader):
    found = joined(grader, explorer_of(layers=3))
    assert (found.heads, found.measures) == (None, [])
    assert len(found.pairs.first) == 24
    assert found.limits == [
        "The first run's model has 2 layers of 4 heads, the second's 3 layers of 4 heads: heads are not compared."
    ]


def test_a_grader_and_a_ranker_are_compared_in_heads_alone(grader, ranker):
    found = joined(grader, ranker)
    assert found.pairs is None
    assert found.heads is not None
    both = {measure.name for measure in GRADER.tested} & {measure.name for measure in RANKER.tested}
    assert set(found.measures) <= both
    assert found.limits[0] == (
        "The first run's model is a grader, the second's a ranker: what they predict of pairs is not compared."
    )
    assert found.limits[1].startswith("Effects of heads are not compared by accuracy, ")
    verdicts = "Verdicts on heads are by log loss in the first run and by pairwise log loss in the second."
    assert found.limits[2] == verdicts


def test_pairs_of_other_data_are_not_compared(grader):
    found = joined(grader, explorer_of(queries=[f"other {number}" for number in range(6)]))
    assert found.pairs is None
    assert found.heads == []
    assert found.limits == [
        "None of the first run's 24 test pairs and the second's 24 are the same by query and title; "
        "effects of heads are on each run's own pairs."
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda values: values["run"].update(grades=["bad", "fair", "good", "great", "best"]),
            "Grades are 1, 2, 3, 4, 5 in the first run and bad, fair, good, great, best in the second: predicted ones "
            "are not compared.",
        ),
        (
            lambda values: [head.update(decision=None) for head in values["heads"]],
            "The second run decides on no head: pruning is not compared.",
        ),
        (
            lambda values: values["pairs"]["gold"].__setitem__(3, 0.5),
            "The gold grade of 1 of 24 common pairs is another one in the second run.",
        ),
    ],
    ids=["grades", "pruning", "gold"],
)
def test_what_is_not_compared_is_said_in_a_sentence(grader, change, said):
    found = joined(grader, changed(grader, change))
    assert found.limits == [said]
    assert found.heads == []
    assert (found.pairs is None) == said.startswith("Grades")


def test_a_run_without_an_explorer_is_named(grader):
    content = explorer_json(grader).encode()
    has = replace(run_results("has"), read_report=lambda path: content if path == paths.EXPLORER_DATA else None)
    assert read_explorer(has) == grader
    lacks = run_results("lacks")
    with pytest.raises(InputError, match=r"^lacks has no reports/explorer\.json; run its stage report with this ver"):
        explorer_page(has, lacks)
    with pytest.raises(InputError, match=r"^lacks has no .*; neither has no "):
        explorer_page(lacks, run_results("neither"))


@pytest.mark.parametrize(("content", "where"), [(b"{", "its text"), (b'{"version": 1}', "run")])
def test_damage_is_told_by_run_and_place(content, where):
    damaged = replace(run_results("damaged"), read_report=lambda path: content)
    with pytest.raises(InputError, match=rf"^reports/explorer\.json of damaged is damaged, or .* \(see {where}\)"):
        read_explorer(damaged)
