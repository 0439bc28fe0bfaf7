import numpy as np
import pandas as pd
import pytest

from pipeline.ablation.head_groups import Group
from pipeline.analysis.subgroups import MIN_QUERIES, head_slice_effects, parts_of, subgroup_effects, subgroups
from pipeline.attention.head_functions import Tokens
from pipeline.stats.bootstrap import QuerySample
from pipeline.stats.grading_measures import ACCURACY, LOGIT_MARGIN
from pipeline.stats.measures import EvaluationSet, measure_changes
from pipeline.tables.group_ablation import SLICES


def tokens(words: list[int]) -> Tokens:
    """Tokens of these words, -1 in none."""
    word = np.array(words)
    return Tokens(word, word, np.where(word < 0, -1, 0), word < 0, word < 0)


TABLE = pd.DataFrame(
    {
        "query": ["red shoe", "red hat box", "a", "blue bag", "Red shoe red"],
        "title": ["red shoe", "hat", "b", "bag of blue", "shoe not red shoe"],
        "grade": [1, 0, 0, 1, 0],
        "kind": ["x", "y", None, "x", "y"],
        "same": ["z"] * 5,
    }
)
PIECES = [tokens(words) for words in ([-1, 0, 1, -1], [-1, 0, 1, 1, -1], [-1, 0], [-1, 0, 1, 2], [0, 0])]


def parts(columns: list[str]) -> pd.DataFrame:
    return subgroups(TABLE, PIECES, columns, ["bad", "good"])


def test_slices_by_columns_terciles_and_grade():
    found = parts(["kind", "same"])
    assert found.kind.tolist() == ["x", "y", "", "x", "y"]
    assert found.grade.tolist() == ["good", "bad", "bad", "good", "bad"]
    assert found.query_length.tolist() == ["low", "high", "low", "low", "high"]  # 2, 3, 1, 2, 3 terms
    assert found.term_overlap.tolist()[1:3] == ["low", "low"]
    assert "same" not in found


def test_term_order_is_that_of_the_first_places_of_the_shared_terms():
    """One shared term or none has no order; a term that comes again counts by its first place, and case does not."""
    assert parts([]).term_order.tolist() == ["same", "", "", "other", "other"]


def test_pairs_of_which_a_word_is_split_into_pieces():
    assert parts([]).word_pieces.tolist() == ["whole", "split", "whole", "whole", "split"]


def test_slices_in_their_natural_order_without_the_pairs_of_none():
    found = list(parts_of(pd.DataFrame({"size": ["low", "high", "middle"], "kind": ["y", "", "x"]})))
    assert [(column, value, pairs.tolist()) for column, value, pairs in found] == [
        ("size", "low", [1, 0, 0]),
        ("size", "middle", [0, 0, 1]),
        ("size", "high", [0, 1, 0]),
        ("kind", "x", [0, 0, 1]),
        ("kind", "y", [1, 0, 0]),
    ]


def drawn(queries: int, heads: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, EvaluationSet]:
    """Logits [head, pair, grade] of heads that all move the gold logit by as much on average."""
    rng = np.random.default_rng(seed)
    query_ids = np.repeat(np.arange(queries), 4)
    grades = rng.integers(0, 3, len(query_ids))
    unmasked = rng.normal(0, 1, (len(query_ids), 3)) + 2 * np.eye(3)[grades]
    by_query = rng.normal(shift, 1, (heads, queries))[:, query_ids, None] * np.eye(3)[grades]
    logits = unmasked + by_query + rng.normal(0, 1, (heads, *unmasked.shape)) * np.eye(3)[grades]
    return logits, EvaluationSet(grades, unmasked, QuerySample(query_ids, 200, seed))


def test_effects_on_slices_are_those_of_the_pairs_in_them():
    logits, pairs = drawn(20, 2, 0)
    slices = pd.DataFrame({"kind": ["x"] * 36 + ["y"] * 40 + ["alone"] * 4})
    groups = [Group("layer", "3", ()), Group("user", "mine", ())]
    found = subgroup_effects(groups, logits, pairs, slices, [ACCURACY, LOGIT_MARGIN])
    assert set(found.group) == {"mine"}
    assert set(found.value) == {"x", "y"}  # a single query has no interval
    rows = slices.kind.to_numpy() == "y"
    expected = measure_changes(LOGIT_MARGIN, logits[1:, rows], pairs.subset(rows))
    row = found[(found.value == "y") & (found.measure == "logit_margin")].iloc[0]
    assert (row.pairs, row.queries) == (40, 10)
    assert [row.change, row.change_low, row.change_high] == pytest.approx(
        [expected.changes[0], expected.low[0], expected.high[0]]
    )
    assert row.to_constant == pytest.approx(expected.changes[0] / LOGIT_MARGIN.way(pairs))


def heads_of(logits: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"layer": 0, "head": range(len(logits))})


def test_heads_on_slices_leave_out_those_of_few_queries():
    logits, pairs = drawn(40, 3, 1)
    few = 4 * (MIN_QUERIES - 1)
    slices = pd.DataFrame({"kind": ["few"] * few + ["many"] * (160 - few)})
    found = head_slice_effects(heads_of(logits), logits, pairs, slices, LOGIT_MARGIN)
    assert (found.value.tolist(), found["head"].tolist()) == (["many"] * 3, [0, 1, 2])
    rows = slices.kind.to_numpy() == "many"
    assert found.change.tolist() == pytest.approx(
        measure_changes(LOGIT_MARGIN, logits[:, rows], pairs.subset(rows)).changes.tolist()
    )


def test_simultaneous_intervals_hold_all_truths_together():
    """Any of 8 cells is sure, none having an effect on average, in about 5% of the samples.

    The logit margin of gold 2 above the others is linear in the gold logit's move, but where others exceed it.
    """
    wrong = []
    for seed in range(80):
        logits, pairs = drawn(60, 4, seed)
        slices = pd.DataFrame({"kind": np.repeat(["x", "y"], 120)})
        found = head_slice_effects(heads_of(logits), logits, pairs, slices, LOGIT_MARGIN)
        wrong.append(found.is_sure.any())
    assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)


def test_simultaneous_intervals_find_an_effect_on_all():
    logits, pairs = drawn(80, 2, 0, shift=1.5)
    slices = pd.DataFrame({"kind": np.repeat(["x", "y"], 160)})
    found = head_slice_effects(heads_of(logits), logits, pairs, slices, LOGIT_MARGIN)
    assert found.is_sure.all()
    assert (found.change_low > 0).all()
    assert (found.to_constant < 0).all()


def test_nothing_to_slice_by_is_a_table_without_rows():
    """As many slices as a table of one title a query and of one kind has: none."""
    pairs = EvaluationSet(np.zeros(4, dtype=int), np.zeros((4, 2)), QuerySample(np.arange(4), 50, 0))
    logits = np.zeros((1, 4, 2))
    found = subgroup_effects(
        [Group("function", "broad", ((0, 0),))], logits, pairs, pd.DataFrame(index=range(4)), [ACCURACY]
    )
    SLICES.check(found)
    assert found.empty
