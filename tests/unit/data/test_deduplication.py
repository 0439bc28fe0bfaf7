"""Which pairs are set aside, against a direct reading of the rule."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.deduplication import query_ids, rejected_rows, rejection_reasons


def frame(rows):
    pairs = pd.DataFrame(rows, columns=["query", "title", "grade"])
    pairs.index = pd.RangeIndex(2, len(rows) + 2, name="line")
    return pairs


def test_each_reason():
    rows = [
        ("red shoes", "Red Shoes", 1),
        ("red shoes", "blue shoes", 0),
        (" ", "a", 0),
        ("Red shoes ", "red shoes", 1),  # the first pair again, but for case and space
        ("hat", "\u3000\t\n", 1),
        ("", "", 1),
        ("hat", "green hat", 0),
        ("hat", "Green hat", 1),
        ("hat", "green hat", 0),
        ("hat\0", "green hat", 1),
    ]
    reasons = rejection_reasons(frame(rows))
    assert reasons.to_dict() == {
        2: "",
        3: "",
        4: "empty query",
        5: "duplicate",
        6: "empty title",
        7: "empty query",
        8: "conflicting duplicate",
        9: "conflicting duplicate",
        10: "conflicting duplicate",
        11: "",
    }
    rejected = rejected_rows(frame(rows), reasons, ["bad", "good"].__getitem__)
    assert rejected.columns.tolist() == ["line", "reason", "query", "title", "grade"]
    assert rejected.iloc[1].tolist() == [5, "duplicate", "Red shoes ", "red shoes", "good"]
    assert rejected["line"].tolist() == [4, 5, 6, 7, 8, 9, 10]


def test_nothing_set_aside():
    pairs = frame([("a", "b", 0)])
    assert rejected_rows(pairs, rejection_reasons(pairs), ["bad"].__getitem__).empty


short = st.sampled_from(["", " ", "a", "A ", "b", "ab", "\u00df", "ss", "a\0"])


@given(rows=st.lists(st.tuples(short, short, st.integers(0, 2)), max_size=25))
def test_against_one_pair_at_a_time(rows):
    def same(one, other):
        return [text.strip().casefold() for text in one[:2]] == [text.strip().casefold() for text in other[:2]]

    reasons = rejection_reasons(frame(rows)).tolist()
    for number, row in enumerate(rows):
        if not row[0].strip():
            expected = "empty query"
        elif not row[1].strip():
            expected = "empty title"
        elif any(same(row, other) and row[2] != other[2] for other in rows):
            expected = "conflicting duplicate"
        elif any(same(row, other) for other in rows[:number]):
            expected = "duplicate"
        else:
            expected = ""
        assert reasons[number] == expected


def test_texts_in_two_normal_forms_are_the_same():
    pairs = pd.DataFrame({"query": ["café", "cafe\u0301"], "title": ["Ｅ が", "Ｅ か\u3099"], "grade": [1, 1]})
    assert rejection_reasons(pairs).tolist() == ["", "duplicate"]
    assert query_ids(pairs["query"]).tolist() == [0, 0]
