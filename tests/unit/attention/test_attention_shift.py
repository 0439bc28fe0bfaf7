import numpy as np
import pytest
from scipy import stats

from pipeline.attention import attention_shift
from pipeline.attention.attention_shift import SHIFTED, AttentionShift, attention_sink, term_match_shift
from pipeline.attention.head_functions import FUNCTIONS
from pipeline.core.heads import Head
from pipeline.stats.bootstrap import QuerySample, half_of_queries

SAMPLE = QuerySample(np.arange(80) // 2, 300, seed=0)


def place(name: str) -> int:
    return FUNCTIONS.index(name)


def test_moves_are_paired_and_corrected():
    before = np.random.default_rng(0).uniform(0.05, 0.15, (80, 2, 2, len(FUNCTIONS)))
    rng = np.random.default_rng(1)
    after = before + rng.normal(0, 0.01, before.shape)
    after[:, 0, 0, FUNCTIONS.index("sep")] -= 0.05
    after[:, 1, 1, FUNCTIONS.index("self")] += 0.05
    found = attention_shift.attention_shift(before, after, SAMPLE)
    moved = found[found.direction != ""]
    assert {("sep", "down"), ("self", "up")} <= set(zip(moved.function, moved.direction, strict=True))
    assert len(moved) <= 4
    means = attention_shift.mean_attention_shift(before, after, SAMPLE).set_index("function")
    assert means.loc["sep", "change_low"] < means.loc["sep", "change"] < means.loc["sep", "change_high"] < 0
    assert means.loc["sep", "change"] == pytest.approx((after - before)[..., FUNCTIONS.index("sep")].mean())


def moved_scores() -> tuple[np.ndarray, np.ndarray]:
    """In head 1.0 term match grows by 0.2, self shrinks by 0.04 and [CLS], the sink, by 0.1; head 0.1 stays."""
    rng = np.random.default_rng(3)
    before = rng.uniform(0.05, 0.15, (80, 2, 2, len(FUNCTIONS)))
    before[..., place("cls")] += 0.3
    after = before + rng.normal(0, 0.01, before.shape)
    for name, change in (("term_match", 0.2), ("self", -0.04), ("cls", -0.1)):
        after[:, 1, 0, place(name)] += change
    return before, after


def matched_scores() -> tuple[np.ndarray, np.ndarray]:
    """Another draw of `moved_scores`, of SHIFTED alone, in which [SEP] gets the most."""
    before, after = (scores[..., [place(name) for name in SHIFTED]] for scores in moved_scores())
    more = np.random.default_rng(4).uniform(0, 0.05, before.shape)
    more[..., SHIFTED.index("sep")] += 0.5
    return before + more, after + more


def test_the_sink_is_the_special_token_with_most_attention():
    before, _ = moved_scores()
    assert attention_sink(before) == "cls"
    before[..., place("sep")] += 0.35
    assert attention_sink(before) == "sep"
    before[..., place("self")] += 0.9  # no special token
    assert attention_sink(before) == "sep"


def test_term_match_heads_are_judged_on_the_other_half_alone():
    before, after = moved_scores()
    matched_before, matched_after = matched_scores()
    half = half_of_queries(SAMPLE.query_ids, seed=0)
    heads = [Head(1, 0), Head(0, 1)]
    shift = AttentionShift(before, matched_before, SAMPLE, heads, half)
    found = shift.measure(after, matched_after).term_match
    assert found[["layer", "head", "rank"]].to_numpy()[::4].tolist() == [[1, 0, 1], [0, 1, 2]]
    assert found["function"].tolist() == ["term_match", "self", "cls", "sep"] * 2
    assert found["function"][found["is_sink"]].tolist() == ["cls"] * 2  # by all text tokens, not the matching ones
    for _, row in found.iterrows():
        where = (~half, row["layer"], row["head"], SHIFTED.index(row["function"]))
        was, now = matched_before[where], matched_after[where]
        assert (row["before"], row["after"]) == (pytest.approx(was.mean()), pytest.approx(now.mean()))
        assert row["change"] == pytest.approx((now - was).mean())
        assert row["change_low"] < row["change"] < row["change_high"]
    shifted = found["q"] < 0.05
    assert shifted.tolist()[:3] == [True] * 3
    np.testing.assert_allclose(found["q"], stats.false_discovery_control(found["p"]))
    after[half] = matched_after[half] = 0  # what the labelling half became does not matter
    assert shift.measure(after, matched_after).term_match.equals(found)


def test_shuffled_grades_stand_next_to_the_changes():
    before, after = moved_scores()
    matched_before, matched_after = matched_scores()
    half = half_of_queries(SAMPLE.query_ids, seed=0)
    shift = AttentionShift(before, matched_before, SAMPLE, [Head(1, 0)], half)
    found, null = shift.measure(after, matched_after), shift.measure(before, matched_before)
    both = found.with_null(null)
    assert both.term_match["null_change"].tolist() == [0] * 4
    assert both.term_match["change"].equals(found.term_match["change"])
    assert both.mean["null_change"].tolist() == [0] * len(FUNCTIONS)


@pytest.mark.parametrize("pairs", [0, 2, 80])
def test_without_heads_or_queries_nothing_is_said(pairs: int):
    before, after = matched_scores()
    few = QuerySample(SAMPLE.query_ids[:pairs], 50, seed=0)
    assert term_match_shift([], "cls", before[:pairs], after[:pairs], few).empty
    alone = term_match_shift([Head(0, 0)], "cls", before[:pairs], after[:pairs], few)
    assert alone["change_low"].isna().all() == (pairs < 3)
    assert alone["change"].isna().all() == (pairs == 0)


def test_halves_are_of_whole_queries():
    queries = np.repeat([7, 3, 9, 5, 1], [1, 4, 2, 3, 2])
    half = half_of_queries(queries, seed=0)
    chosen = set(queries[half])
    assert len(chosen) == 3
    assert not chosen & set(queries[~half])
    assert half_of_queries(np.array([4, 4]), seed=0).tolist() == [True, True]
    assert len({tuple(half_of_queries(queries, seed)) for seed in range(20)}) > 5
