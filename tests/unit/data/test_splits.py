"""Splits share no query and have like grades; a given split is checked; samples take whole queries."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import InputError
from pipeline.data.deduplication import query_ids
from pipeline.data.splits import (
    SPLITS,
    check_comparable_queries,
    check_complete_splits,
    check_enough_queries,
    check_given_splits,
    check_trained_grades,
    count_comparable_queries,
    draw_splits,
    summarize,
)
from pipeline.stats.bootstrap import sample_queries

SHARES = (0.65, 0.13, 0.22)


@st.composite
def pairs(draw):
    """Queries of any sizes, numbered in order of first appearance, their pairs mixed and graded at random."""
    sizes = draw(st.lists(st.integers(1, 20), min_size=1, max_size=60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mixed = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    queries = pd.factorize(mixed)[0]
    return queries, rng.integers(0, draw(st.integers(2, 5)), len(queries))


@given(pairs=pairs(), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_no_query_in_two_splits_and_sizes_near_their_shares(pairs, seed):
    queries, grades = pairs
    drawn = draw_splits(queries, grades, SHARES, seed)
    assert drawn.tolist() == draw_splits(queries, grades, SHARES, seed).tolist()
    assert all(len(np.unique(drawn[queries == query])) == 1 for query in np.unique(queries))
    largest = np.bincount(queries).max()
    assert np.abs(np.bincount(drawn, minlength=3) - len(queries) * np.array(SHARES)).max() <= 2 * largest


@given(
    grades=st.lists(st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3]), min_size=1, max_size=300),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_single_pairs_are_stratified_to_within_one(grades, seed):
    """With one pair a query the rule is Sainte-Lague's, which for three parties stays within one seat of the quota."""
    drawn = draw_splits(np.arange(len(grades)), np.array(grades), SHARES, seed)
    counts = pd.crosstab(np.array(grades), drawn).reindex(columns=range(3), fill_value=0)
    quota = np.outer(counts.sum(axis=1), SHARES)
    assert np.abs(counts.to_numpy() - quota).max() < 1


def test_twenty_titles_a_query_are_stratified():
    rng = np.random.default_rng(0)
    queries = np.repeat(np.arange(200), 20)
    grades = (rng.random(4000) < np.repeat(rng.beta(2, 5, 200), 20)).astype(int) + (rng.random(4000) < 0.1)
    drawn = draw_splits(queries, grades, SHARES, 1)
    shares = pd.crosstab(drawn, grades, normalize="index")
    assert np.abs(shares - np.bincount(grades) / 4000).max().max() < 0.01


def test_the_seed_draws_another_split():
    queries, grades = np.arange(100), np.arange(100) % 2
    assert (draw_splits(queries, grades, SHARES, 1) != draw_splits(queries, grades, SHARES, 2)).any()


def test_query_ids_are_dense_and_blind_to_case_and_surrounding_space():
    assert query_ids(["b", "A", " a\t", "B ", "a b", "a\0", "STRASSE", "straße"]).tolist() == [0, 1, 1, 0, 2, 3, 4, 4]


def table(*rows):
    frame = pd.DataFrame(rows, columns=["query", "split"])
    frame.index = pd.RangeIndex(2, len(rows) + 2, name="line")
    return frame


def test_given_splits():
    check_given_splits(
        table(("a", "train"), ("b", "dev"), ("a", "train"), ("c", "test"), ("", "dev"), (" ", "test")),
        "t.csv",
        "cut it",
    )
    with pytest.raises(InputError, match=r"t\.csv: query 'A ' is in train \(line 2\) and in test \(line 4\).*cut it"):
        check_given_splits(table(("a", "train"), ("b", "dev"), ("A ", "test")), "t.csv", "cut it")
    with pytest.raises(InputError, match=r"t\.csv, line 3: split 'valid' is none of train, dev, test; .* or cut it to"):
        check_given_splits(table(("a", "train"), ("b", "valid")), "t.csv", "cut it")
    with pytest.raises(InputError, match="line 2: split '' is none of"):
        check_given_splits(table(("a", "")), "t.csv", "cut it")


def split_of(*grades):
    return pd.DataFrame({"grade": list(grades)})


def test_complete_splits():
    whole = {"train": split_of(0, 1), "dev": split_of(0), "test": split_of(1)}
    check_complete_splits(whole, SPLITS, "t.csv")
    with pytest.raises(InputError, match=r"t\.csv: the dev split is empty \(pairs: train 2, dev 0, test 1\)"):
        check_complete_splits(whole | {"dev": split_of()}, SPLITS, "t.csv")
    untrained = whole | {"train": split_of()}
    check_complete_splits(untrained, ("dev", "test"), "t.csv")
    with pytest.raises(InputError, match=r"the train split is empty .*or set model\.fine_tuned"):
        check_complete_splits(untrained, SPLITS, "t.csv")


def test_every_grade_is_trained():
    whole = {"train": split_of(0, 1), "dev": split_of(0), "test": split_of(1)}
    check_trained_grades(whole, ["bad", "good"], "t.csv")
    with pytest.raises(InputError, match=r"t\.csv: grade 'good' does not occur in the training split"):
        check_trained_grades(whole | {"train": split_of(0, 0)}, ["bad", "good"], "t.csv")


def graded(*rows):
    return pd.DataFrame(rows, columns=["query_id", "grade"])


def test_queries_whose_titles_can_be_ordered():
    splits = {
        "train": graded(),
        "dev": graded((0, 1.0), (0, 1.0), (1, 0.0)),
        "test": graded((2, 0.5), (2, 0.0), (3, 1), (3, 1), (4, 2), (4, 2), (4, 0)),
    }
    comparable = count_comparable_queries(splits)
    assert comparable == {"train": 0, "dev": 0, "test": 2}
    check_comparable_queries(comparable, ("test",), "t.csv")
    with pytest.raises(InputError, match=r"t\.csv: no query of dev has two titles of different grades"):
        check_comparable_queries(comparable, ("dev", "test"), "t.csv")


def test_summary_of_grades_that_are_numbers_and_of_no_pairs():
    splits = {"train": graded().astype(float), "dev": graded((0, 2.5), (0, 0.0), (1, 0.5))}
    assert summarize(splits, pd.Series(["", "", "", "duplicate"]), []) == {
        "pairs_read": 4,
        "rejected": 1,
        "rejected_empty_query": 0,
        "rejected_empty_title": 0,
        "rejected_conflicting_duplicate": 0,
        "rejected_duplicate": 1,
        "train_pairs": 0,
        "train_queries": 0,
        "train_titles_per_query": None,
        "train_mean_grade": None,
        "train_share_of_grades_above_0": None,
        "dev_pairs": 3,
        "dev_queries": 2,
        "dev_titles_per_query": 1.5,
        "dev_mean_grade": 1.0,
        "dev_share_of_grades_above_0": pytest.approx(2 / 3),
    }
    assert summarize({"train": graded()}, pd.Series([""]), ["bad", "good"])["train_share_of_grade_good"] is None


@given(
    queries=st.lists(st.integers(0, 12), min_size=1, max_size=80),
    max_pairs=st.integers(1, 90),
    seed=st.integers(0, 2**32 - 1),
)
def test_samples_hold_whole_queries(queries, max_pairs, seed):
    queries = np.array(queries)
    rows = sample_queries(queries, max_pairs, seed)
    assert rows.tolist() == sorted(set(rows.tolist()))
    taken = set(queries[rows])
    assert len(rows) == np.isin(queries, list(taken)).sum()
    assert len(rows) <= max_pairs or len(taken) == 1
    assert len(rows) == len(queries) if len(queries) <= max_pairs else len(rows) > 0


def test_every_query_is_as_likely_to_be_sampled():
    queries = np.repeat(np.arange(4), 5)
    counts = sum(np.bincount(queries[sample_queries(queries, 10, seed)], minlength=4) / 5 for seed in range(400))
    assert np.abs(counts - 200).max() < 50  # five standard deviations of a fair draw of two out of four


@pytest.mark.parametrize(("dev", "test", "said"), [(1, 3, "dev has 1 query"), (2, 1, "test has 1 query")])
def test_intervals_over_one_query_are_none(dev, test, said):
    splits = {
        name: pd.DataFrame({"query_id": np.repeat(np.arange(queries), 4), "grade": 0})
        for name, queries in {"train": 1, "dev": dev, "test": test}.items()
    }
    with pytest.raises(InputError, match=rf"t\.csv: {said} \(pairs: train 4, dev .*give at least 2"):
        check_enough_queries(splits, ("dev", "test"), "t.csv")
    check_enough_queries(splits, ("dev",) if test == 1 else ("test",), "t.csv")
