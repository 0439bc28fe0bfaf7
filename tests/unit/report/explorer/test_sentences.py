"""A head in one plain sentence."""

import pandas as pd

from pipeline.report.explorer.sentences import head_sentence
from pipeline.stats.grading_measures import LOG_LOSS
from pipeline.stats.measure_sets import GRADER, RANKER

ROW = {
    "layer": 2,
    "head": 9,
    "verdict": "needed",
    "relative_accuracy_change": -0.0864,
    "relative_accuracy_change_low": -0.1,
    "relative_accuracy_change_high": -0.07,
    "relative_ndcg_at_10_change": 0.02,
    "relative_ndcg_at_10_change_low": -0.01,
    "relative_ndcg_at_10_change_high": 0.05,
}
LABELS = pd.DataFrame(
    {
        "function": ["cls", "term_match", "self"],
        "score": [0.351, 0.808, 0.2],
        "control": [0.06, 0.02, 0.06],
        "difference_low": [0.25, 0.75, 0.1],
        "written_difference_low": [0.2, 0.7, 0.1],
        "relative_write_low": [1.0, 1.0, 1.0],
        "is_labelled": [True, True, False],
    }
)
SLICES = pd.DataFrame(
    {
        "slice": "phenomenon",
        "value": ["exact", "word_order", "synonym"],
        "to_constant": [0.1, 0.5, 0.9],
        "is_sure": [True, True, False],
    }
)


def test_it_says_what_a_head_looks_at_what_goes_without_it_and_where_it_matters():
    assert head_sentence(ROW, LABELS, SLICES, GRADER, LOG_LOSS) == (
        "Layer 2 head 9 looks at the same term in the other text (81%, control 2%) and at [CLS] (35%, control 6%); "
        "without it 8.6% fewer pairs are graded right; it matters most where phenomenon is word_order."
    )


def test_what_an_idle_head_looks_at_is_said_to_be_no_function_of_it():
    labels = LABELS.assign(is_labelled=False, relative_write_low=[0.09, 0.5, 0.02])
    assert head_sentence(ROW, labels, SLICES, GRADER, LOG_LOSS).startswith(
        "Layer 2 head 9 has no function: it looks at [CLS] (35%, control 6%), but hardly writes anything of it; without"
    )


def test_what_is_not_sure_is_not_said():
    """A needed head may be sure by the primary measure alone."""
    row, labels, slices = ROW, LABELS.assign(is_labelled=False), SLICES.assign(is_sure=False)
    assert head_sentence(row, labels, slices, RANKER, RANKER.default_primary) == (
        "Layer 2 head 9 looks at nothing that is scored here; without it nDCG@10 is 2.0% higher, which may be chance."
    )
    same = head_sentence(
        row | {"relative_accuracy_change": -0.0004, "relative_accuracy_change_high": 0.01},
        labels,
        slices,
        GRADER,
        LOG_LOSS,
    )
    assert same.endswith("; without it as many pairs are graded right, which may be chance.")
    none = head_sentence(ROW | {"verdict": "no effect"}, labels, slices, GRADER, LOG_LOSS)
    assert none.endswith("; without it the log loss hardly changes.")
