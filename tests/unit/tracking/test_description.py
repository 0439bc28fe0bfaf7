"""The description of a parent run, against text written by hand."""

import pytest

from pipeline.tracking.description import LENGTH, Stage, describe, ran, with_stages

PARAMS = {"model.name": "embedded", "data.source": "generated", "data.generated.language": "en"}
METRICS = {
    "data/train_pairs": 45,
    "data/dev_pairs": 9,
    "data/test_pairs": 15,
    "heads/pairs": 8,
    "grading/epochs": 8,
    "grading/best_epoch": 6,
    "grading/converged": 1,
    "grading/test_accuracy": 0.8512,
    "grading/test_qwk": 0.886,
    "bilstm/test_accuracy": 0.9,
    "bilstm/test_qwk": None,
    "grading/test_majority_accuracy": 0.32,
}
EFFECTS = [
    ("0.0", 0.001, "no effect"),
    ("1.1", -0.05, "needed"),
    ("2.9", -0.175, "needed"),
    ("2.3", 0.02, "harmful"),
]
FINDING = {"id": "F3", "statement": "Low heads match a|b.", "measured": "-63.6%", "verdict": "agrees"}


def test_a_finished_run():
    assert describe(PARAMS, METRICS, EFFECTS, [FINDING]).split("\n\n") == [
        "`embedded` fine-tuned (epoch 6 of 8) on `generated` (en): 45 train, 9 dev, 15 test pairs. "
        "Heads masked on 8 test pairs.",
        "Grades **85.1%** of the test pairs right (kappa 0.89); the BiLSTM 90.0%, the most frequent grade 32.0%.",
        "2 of 4 heads needed: 2.9 (-17.5%), 1.1 (-5.0%).",
        "1 of 4 heads harmful: 2.3 (+2.0%).",
        "The article's findings:",
        "|  | finding | this run | verdict |\n| --- | --- | --- | --- |\n"
        "| F3 | Low heads match a\\|b. | -63.6% | **agrees** |",
    ]


def test_a_rankers_quality():
    metrics = {"grading/test_ndcg_at_10": 0.95, "grading/test_mrr_at_10": 0.9, "headline/bm25_test_ndcg_at_10": 0.7}
    metrics["headline/bilstm_test_ndcg_at_10"] = None  # there were no training pairs
    assert describe({}, metrics, [], []).split("\n\n")[1] == (
        "nDCG@10 **0.950** on the test queries (MRR@10 0.900); BM25 0.700."
    )


@pytest.mark.parametrize(("done", "words"), [("true", "as it is, without fine-tuning"), ("false", "fine-tuned")])
def test_a_run_without_results(done, words):
    params = PARAMS | {"model.fine_tuned": done, "data.source": "data/raw/pairs.tsv"}
    assert describe(params, {}, [], []) == f"`embedded` {words} on `data/raw/pairs.tsv`."


def test_graders_that_are_not_converged_are_named():
    metrics = {"grading/converged": 1, "bilstm/converged": 0, "bilstm/best_epoch": 12}
    said = "**The BiLSTM not converged**: the best epoch, 12, is the last allowed; raise training.max_epochs."
    assert describe(PARAMS, metrics, [], []).split("\n\n")[1:] == [said]
    assert "**BERT not converged**" in describe(PARAMS, {"grading/converged": 0}, [], [])


def test_many_needed_heads_and_long_figures_are_cut():
    effects = [(f"{layer}.{head}", -0.1, "needed") for layer in range(12) for head in range(12)]
    text = describe(PARAMS, {}, effects, [FINDING | {"measured": "word " * 100}])
    assert "144 of 144 heads needed: 0.0 (-10.0%)," in text
    assert "1.11 (-10.0%) and 120 more." in text
    assert "word word ... |" in text
    assert max(map(len, text.splitlines())) < 600


def test_the_stages_follow_and_nothing_outgrows_a_tag():
    stages = [Stage("prepare", 2.04, is_cached=True), Stage("report", None, is_cached=False)]
    rows = "| prepare | cached | 2.0 |\n| report | run now |  |"
    table = f"The stages:\n\n| stage |  | seconds |\n| --- | --- | --- |\n{rows}"
    assert with_stages("Text.", stages) == f"Text.\n\n{table}"
    long = with_stages("x" * 9000, stages)
    assert len(long) == LENGTH
    assert long.endswith(table)


def test_which_stages_ran():
    cached, now = Stage("prepare", 1.0, is_cached=True), [Stage(name, 1.0, is_cached=False) for name in ("a", "b")]
    assert ran(now) == "all"
    assert ran([cached, *now]) == "a, b"
    assert ran([cached]) == "none"
