"""Queries whose order turns without a needed head: chosen by what they lose, titles side by side, by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.report.reordered_queries import reordered_queries
from pipeline.report.results import Results
from pipeline.stats.measure_sets import RANKER
from tests.support import frames

GRADES = [1, 0, 0, 1, 0, 0, 2, 1, 0]  # three queries of three titles
UNMASKED = [3.0, 2, 1, 1, 2, 3, 5, 4, 3]
# Without head 0.1: the first query's best title is last, the second's first again, the third's best are swapped.
MASKED = [1.0, 2, 3, 3, 2, 1, 4, 5, 3]


def split() -> pd.DataFrame:
    """The split: an analysed pair stands behind another one."""
    rows = [(-1, "not analysed", "x", 0)]
    rows += [(number // 3, f"query {number // 3}", f"title {number}", grade) for number, grade in enumerate(GRADES)]
    return pd.DataFrame(rows, columns=["query_id", "query", "title", "grade"])


def sweep() -> dict[str, np.ndarray]:
    unmasked, masked = (np.array(scores, dtype=np.float32)[:, None] for scores in (UNMASKED, MASKED))
    masks = 1 - np.eye(4, dtype=np.float32).reshape(4, 2, 2)
    logits = np.stack([unmasked, masked, unmasked, unmasked])  # heads 0.0, 0.1, 1.0, 1.1
    return {"masks": masks, "masked_logits": logits, "unmasked_logits": unmasked, "pairs": np.arange(1, 10)}


def results(changes: dict[tuple[int, int], float], **given) -> Results:
    rows = [frames.head_row(*head, changes.get(head, 0.0), of=RANKER) for head in np.ndindex(2, 2)]
    tables = frames.tables(2, 2, of=RANKER, heads=frames.ranked_heads(rows, RANKER))
    return replace(frames.results(2, 2, of=RANKER), tables=tables, **given)


def test_queries_are_those_that_lose_most_and_those_that_lose_nothing_are_left_out():
    tables = reordered_queries(results({(0, 1): -0.1, (1, 0): -0.05}), sweep(), split())
    assert [table.caption for table in tables] == [
        "“query 0” without layer 0 head 1: nDCG@10 1.000 -> 0.500",
        # Gains 3 and 1 at ranks 1 and 2: (1 + 3 / log2(3)) / (3 + 1 / log2(3)).
        "“query 2” without layer 0 head 1: nDCG@10 1.000 -> 0.797",
    ]
    assert tables[1].columns == [
        *("rank", "title, unmasked", "grade", "score", "title, without 0.1", "grade", "score"),
    ]
    assert tables[1].rows == [
        ["1", "title 6", "3", "5.000", "title 7", "2", "5.000"],
        ["2", "title 7", "2", "4.000", "title 6", "3", "4.000"],
        ["3", "title 8", "1", "3.000", "title 8", "1", "3.000"],
    ]


def test_grades_that_are_numbers_are_shown_as_such():
    pairs = split().assign(grade=1.5 * split()["grade"])
    shown = reordered_queries(results({(0, 1): -0.1}, grades=[]), sweep(), pairs)
    assert [row[2] for row in shown[0].rows] == ["1.5", "0", "0"]


def test_heads_that_cost_nothing_show_nothing():
    assert reordered_queries(results({(0, 1): 0.1}), sweep(), split()) == []


def test_long_queries_show_their_first_titles():
    many = pd.DataFrame({"query_id": 0, "query": "q" * 200, "title": "t" * 200, "grade": [1] + [0] * 19})
    scores = np.arange(20, 0, -1, dtype=np.float32)[:, None]
    masks = 1 - np.eye(4, dtype=np.float32).reshape(4, 2, 2)
    arrays = {"masks": masks, "masked_logits": np.stack([scores[::-1]] * 4), "unmasked_logits": scores}
    table = reordered_queries(results({(0, 1): -0.1}), arrays | {"pairs": np.arange(20)}, many)[0]
    assert table.caption.endswith("nDCG@10 1.000 -> 0.000; the first 10 of 20 titles")
    assert len(table.rows) == 10
    assert max(len(cell) for cell in table.rows[0]) == 60
