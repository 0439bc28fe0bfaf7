"""Rankers: losses worked by hand, samples that keep queries together, trainings that learn and repeat bit for bit."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.config import Scratch, Training
from pipeline.core.errors import InputError
from pipeline.models.early_stopping import EarlyStopping
from pipeline.models.finetuning import fine_tune_by_objective, fine_tune_on_shuffled_grades
from pipeline.models.inference import predict
from pipeline.models.random_init import build_scratch
from pipeline.models.tokenization import encode_split
from pipeline.stats.split_metrics import split_metrics
from tests.support.builders import CPU, SCRATCH, colour_pairs, params_with

pytest.importorskip("sentence_transformers")
from pipeline.models.ranking_objectives import PairScorer, as_cross_encoder, ranking_loss, ranking_samples

OBJECTIVES = ("regression", "pairwise", "listwise")
QUERIES = np.array([4, 4, 4, 9, 9])
GRADES = np.array([0.0, 2.0, 0.5, 1.0, 3.0])
SCORES = [0.7, -0.4, 1.1, 0.2, 2.5]


class Scores(torch.nn.Module):
    """A model of a score a pair, which are its weights."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.nn.Parameter(torch.tensor(scores))

    def forward(self, pair):
        return self.scores[pair][:, None]


def loss_of(objective, queries=QUERIES, grades=GRADES, scores=SCORES):
    """Loss of all samples as one step."""
    scorer = PairScorer(Scores(scores), lambda pairs: {"pair": torch.from_numpy(pairs)})
    samples = ranking_samples(objective, queries, grades, 8, seed=0)
    loss = ranking_loss(objective, as_cross_encoder(scorer, CPU))
    return loss(*samples.batch(range(len(samples)))).item()


def test_regression_is_the_mean_squared_error():
    assert loss_of("regression") == pytest.approx((0.7**2 + 2.4**2 + 0.6**2 + 0.8**2 + 0.5**2) / 5)


def test_pairwise_is_the_mean_log_loss_of_the_better_titles():
    differences = [-0.4 - 0.7, -0.4 - 1.1, 1.1 - 0.7, 2.5 - 0.2]  # better minus worse: three of query 4, one of 9
    expected = sum(math.log(1 + math.exp(-difference)) for difference in differences) / 4
    assert loss_of("pairwise") == pytest.approx(expected, rel=1e-5)


def test_listwise_weighs_every_two_titles_by_ranks_and_gains():
    """NDCG-Loss2++ of Wang et al. 2018, equations 13 and 16, of query 4; its third title is ranked first."""
    ranked, scores = np.array([0.5, 0.0, 2.0]), np.array([1.1, 0.7, -0.4])
    discounts = np.log2(1 + np.arange(1, 4))
    gains = (2**ranked - 1) / ((2**2.0 - 1) / discounts[0] + (2**0.5 - 1) / discounts[1])
    losses = []
    for better, worse in ((2, 0), (2, 1), (0, 1)):
        apart = abs(better - worse)
        by_distance = abs(1 / discounts[apart - 1] - 1 / discounts[apart])
        by_rank = abs(1 / discounts[better] - 1 / discounts[worse])
        weight = (10 * by_distance + by_rank) * abs(gains[better] - gains[worse])
        losses.append(weight * math.log(1 + math.exp(scores[worse] - scores[better])))
    assert loss_of("listwise", QUERIES[:3], GRADES[:3], SCORES[:3]) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("objective", ["pairwise", "listwise"])
def test_lists_are_indifferent_to_a_shift_of_scores_and_titles_of_equal_grade_are_not_compared(objective):
    shifted = [score + 5 for score in SCORES[:3]] + SCORES[3:]
    assert loss_of(objective, scores=shifted) == pytest.approx(loss_of(objective), rel=1e-5)
    rightly = loss_of(objective, scores=[-9.0, 9.0, 0.0, -9.0, 9.0])
    assert rightly == pytest.approx(0, abs=1e-2)
    assert loss_of(objective, scores=[9.0, -9.0, 0.0, 9.0, -9.0]) > 1


def test_lists_hold_the_titles_of_one_query_and_differ_in_grade():
    queries, grades = np.array([3, 1, 3, 2, 1, 2, 1]), np.array([0, 1, 1, 2, 0, 2, 4])
    samples = ranking_samples("listwise", queries, grades, 6, seed=0)
    assert samples.columns() == {  # query 2 has one grade alone
        "query": [1, 3],
        "title": [[1, 4, 6], [0, 2]],
        "labels": [[1.0, 0.0, 4.0], [0.0, 1.0]],
    }
    assert samples.per_step == round(6 / 2.5)


def test_the_titles_of_a_long_query_are_dealt_to_lists_of_which_each_has_its_share_of_every_grade():
    grades = np.array([0] * 60 + [1] * 30 + [2] * 10)
    samples = ranking_samples("pairwise", np.zeros(100, dtype=int), grades, 32, seed=1)
    assert sorted(pair for titles in samples.pairs for pair in titles) == list(range(100))
    assert [len(titles) for titles in samples.pairs] == [25] * 4
    counts = np.array([np.bincount(grades[titles]) for titles in samples.pairs])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert samples.per_step == 1
    assert samples.pairs != ranking_samples("pairwise", np.zeros(100, dtype=int), grades, 32, seed=2).pairs


def test_pairs_that_order_nothing_are_an_error():
    with pytest.raises(InputError, match=r"objective pairwise learns the order .* set it to regression"):
        ranking_samples("pairwise", np.array([1, 1, 2]), np.array([3.0, 3.0, 0.0]), 8, seed=0)


# -- training


def ranking_params(objective="pairwise", **changes):
    settings = {
        "objective": objective,
        "learning_rate": 0.01,
        "batch_size": 32,
        "warmup_share": 0.1,
        "weight_decay": 0.01,
        "dropout": 0.1,
    }
    return params_with(
        **{
            "data__source": "data/raw/pairs.csv",
            "data__grades": "numbers",
            "model__name": "scratch",
            "model__max_length": 16,
            "model__scratch": SCRATCH,
            "training": {"max_epochs": 2, "patience": 2},
            "finetune": settings,
            **changes,
        }
    )


def graded(split: pd.DataFrame) -> pd.DataFrame:
    return split.assign(grade=split["grade"] + 0.25)


def start(split):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model, tokenizer = build_scratch(Scratch(**SCRATCH), 16, ["score"], [*split["query"], *split["title"]])
    return model.eval(), tokenizer


def trained(params, ndcgs=None):
    """A scratch model after training, its curve, and the weights judged; `ndcgs` stand in for those of dev."""
    split = graded(colour_pairs(120))
    model, tokenizer = start(split)
    pairs, given, seen = encode_split(tokenizer, split, 16), iter(ndcgs or []), []

    def judge():
        seen.append({name: weight.clone() for name, weight in model.state_dict().items()})
        if ndcgs:
            return {"ndcg_at_10": next(given), "pairwise_log_loss": 1.0}
        return split_metrics(split, predict(model, pairs, 0))[0]

    stopping = EarlyStopping("test", judge, params.training, "ranker")
    return model, fine_tune_by_objective(model, pairs, split, 0, stopping, params), seen


def equal(state, other):
    return all(torch.equal(weight, other[name]) for name, weight in state.items())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_it_learns(objective):
    model, curve, _ = trained(ranking_params(objective, training={"max_epochs": 8, "patience": 8}))
    assert not model.training
    losses = curve.table()["train_loss"]
    assert losses.iloc[-1] < 0.6 * losses.iloc[0]
    assert max(epoch.dev["pairwise_accuracy"] for epoch in curve.epochs) > 0.9


def test_two_trainings_match_bit_for_bit_and_write_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, again = trained(ranking_params()), trained(ranking_params())
    other = trained(ranking_params(run__seed=14))
    assert equal(first[0].state_dict(), again[0].state_dict())
    assert first[1] == again[1]
    assert not equal(first[0].state_dict(), other[0].state_dict())
    assert list(Path().iterdir()) == []


def test_the_epoch_of_the_best_ndcg_is_kept():
    model, curve, seen = trained(ranking_params(training={"max_epochs": 3, "patience": 3}), [0.5, 0.9, 0.8])
    assert (curve.best, len(curve.epochs)) == (2, 3)
    assert equal(model.state_dict(), seen[1])
    assert not equal(seen[0], seen[1])


def test_on_shuffled_grades_nothing_is_learnt():
    params, split = ranking_params(training={"max_epochs": 4, "patience": 4}), graded(colour_pairs(160))
    tuned = start(split)
    model = fine_tune_on_shuffled_grades(tuned, split, split, params)
    scores = predict(model, encode_split(tuned[1], split, 16), 0)
    assert split_metrics(split, scores)[0]["pairwise_accuracy"] < 0.8


def test_a_training_that_diverges_is_an_error():
    split = graded(colour_pairs(40))
    model, tokenizer = start(split)
    torch.nn.init.constant_(model.classifier.bias, torch.nan)
    stopping = EarlyStopping("test", dict, Training(max_epochs=1, patience=1), "ranker")
    pairs = encode_split(tokenizer, split, 16)
    with pytest.raises(InputError, match=r"finetune.learning_rate 0.01 lets the training loss become nan; lower it"):
        fine_tune_by_objective(model, pairs, split, 0, stopping, ranking_params("regression"))
