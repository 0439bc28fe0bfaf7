"""The baseline learns what depends on both texts, is reproducible bit for bit, and keeps its best epoch."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.baselines.bilstm import (
    bilstm_logits,
    build_bilstm,
    build_word_vocabulary,
    encode_words,
    train_bilstm,
    train_ranking_bilstm,
)
from pipeline.core import paths
from pipeline.core.config import Training
from pipeline.core.errors import InputError
from pipeline.models.early_stopping import EarlyStopping
from pipeline.stages import bilstm as bilstm_stage
from pipeline.stats.split_metrics import split_metrics
from tests.support.builders import colour_pairs, file_hashes, params_with, run_stage

SETTINGS = {"learning_rate": 0.01, "batch_size": 32, "embedding": 16, "hidden": 16, "dropout": 0.1}
WORDS = ["red", "blue", "green", "shoe", "hat", "bag", "coat", "old", "new", "long", "short", "warm"]
GRADES = 3


def settings():
    return params_with(bilstm=SETTINGS).bilstm


def overlapping_pairs(pairs, seed=0):
    """A split whose grade is the number of the query's words that the title holds: 0, 1 or 2, one as often as another.

    No word says anything about the grade by itself; only the two texts together do.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for pair in range(pairs):
        words = rng.permutation(WORDS)
        shared = pair % GRADES
        title = rng.permutation([*words[:shared], *words[2 : 5 - shared]])
        rows.append({"query_id": pair, "query": " ".join(words[:2]), "title": " ".join(title), "grade": shared})
    return pd.DataFrame(rows)


def encoded(split, vocabulary):
    return encode_words(vocabulary, split["query"], split["title"])


def trained(pairs=60, seed=13, qwks=None, epochs=12):
    """A model after training on so many pairs, its learning curve, and the weights that were scored on dev."""
    split = overlapping_pairs(pairs)
    vocabulary = build_word_vocabulary([*split["query"], *split["title"]])
    model = build_bilstm(len(vocabulary), GRADES, settings(), seed)
    seen = []

    def judge():
        seen.append({name: weight.clone() for name, weight in model.state_dict().items()})
        return {"qwk": qwks[len(seen) - 1] if qwks else float(len(seen)), "log_loss": None}

    stopping = EarlyStopping("test", judge, Training(max_epochs=epochs, patience=3))
    curve = train_bilstm(model, encoded(split, vocabulary), split["grade"].to_numpy(), stopping, settings(), seed)
    return SimpleNamespace(model=model, vocabulary=vocabulary, curve=curve, seen=seen)


def test_it_learns_how_many_words_two_texts_share():
    split = overlapping_pairs(900)
    held_out = overlapping_pairs(150, seed=1)
    run = trained(pairs=len(split))
    logits = bilstm_logits(run.model, encoded(held_out, run.vocabulary))
    assert (logits.argmax(axis=1) == held_out["grade"]).mean() > 0.8  # every grade holds a third


def test_two_trainings_match_bit_for_bit_and_another_seed_does_not():
    pairs = overlapping_pairs(20, seed=1)
    first, again, other = (
        bilstm_logits(run.model, encoded(pairs, run.vocabulary))
        for run in (trained(epochs=2), trained(epochs=2), trained(epochs=2, seed=14))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_training_leaves_the_random_state_as_it_was():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    trained(epochs=1)
    assert torch.equal(torch.rand(1), expected)


def test_the_best_epoch_is_kept_and_the_training_stops_some_epochs_later():
    run = trained(qwks=[0.3, 0.9, 0.9, 0.5, 0.8, 1.0])
    assert run.curve.best == 2
    assert len(run.seen) == len(run.curve.epochs) == 5
    kept = run.model.state_dict()
    assert all(torch.equal(weight, kept[name]) for name, weight in run.seen[1].items())
    assert not all(torch.equal(weight, kept[name]) for name, weight in run.seen[2].items())


def test_vocabulary_worked_by_hand():
    vocabulary = build_word_vocabulary(["Red shoe", "red hat, HAT", "红色 bag!", "红色"])
    assert vocabulary == {"[PAD]": 0, "[UNK]": 1, "hat": 2, "red": 3, "红色": 4}
    pairs = encode_words(vocabulary, ["RED bag", "!"], ["hat", ""])
    queries, titles = pairs.batch([0, 1])
    assert queries.tolist() == [[3, 1], [1, 0]]
    assert titles.tolist() == [[2], [1]]


def test_unknown_words_and_texts_without_words_are_graded():
    run = trained(epochs=1)
    pairs = encode_words(run.vocabulary, ["red shoe", "zebra", "?"], ["?!", "quokka zebra", "..."])
    logits = bilstm_logits(run.model, pairs)
    assert logits.shape == (3, GRADES)
    assert logits.dtype == np.float32


def test_padding_changes_no_logit():
    run = trained(epochs=1)
    queries = ["red", "red shoe", "old blue hat bag coat", "!"]
    titles = ["warm long hat red red blue green", "hat", "!", "shoe shoe"]
    together = bilstm_logits(run.model, encode_words(run.vocabulary, queries, titles))
    for pair, texts in enumerate(zip(queries, titles, strict=True)):
        alone = bilstm_logits(run.model, encode_words(run.vocabulary, texts[:1], texts[1:]))
        assert alone[0] == pytest.approx(together[pair], abs=1e-5)


def test_logits_worked_word_by_word():
    model = trained(epochs=1).model
    query, title = torch.tensor([2, 3, 1]), torch.tensor([4, 2])
    with torch.no_grad():
        texts = [model.encoder(model.embedding(text))[0] for text in (query, title)]
        pooled = []
        for own, other in (texts, texts[::-1]):
            compared = []
            for word in own:
                shares = torch.exp(other @ word) / torch.exp(other @ word).sum()
                aligned = sum(share * vector for share, vector in zip(shares, other, strict=True))
                compared.append(model.comparison(torch.cat([word, aligned, word - aligned, word * aligned])))
            pooled += [sum(compared) / len(compared), torch.stack(compared).max(dim=0).values]
        expected = model.classifier(torch.cat(pooled))
        actual = model(query[None], title[None])[0]
    assert actual.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_logits_that_are_not_finite_are_an_error():
    run = trained(epochs=1)
    torch.nn.init.constant_(run.model.classifier[-1].bias, torch.nan)
    with pytest.raises(InputError, match=r"lower bilstm\.learning_rate"):
        bilstm_logits(run.model, encoded(overlapping_pairs(3), run.vocabulary))


@pytest.mark.parametrize("objective", ["regression", "pairwise", "listwise"])
def test_it_learns_to_rank_by_every_objective_and_repeats_bit_for_bit(objective):
    split = overlapping_pairs(90).assign(query_id=np.arange(90) // 15)
    vocabulary = build_word_vocabulary([*split["query"], *split["title"]])
    words = encoded(split, vocabulary)

    def trained_scores():
        model = build_bilstm(len(vocabulary), 1, settings(), 13)

        def judge():
            return split_metrics(split, bilstm_logits(model, words))[0]

        stopping = EarlyStopping("test", judge, Training(max_epochs=8, patience=8), "ranker")
        curve = train_ranking_bilstm(model, words, split, objective, stopping, settings(), 13)
        return bilstm_logits(model, words), curve.epochs

    scores, epochs = trained_scores()
    assert scores.shape == (90, 1)
    assert epochs[-1].train_loss < 0.7 * epochs[0].train_loss
    assert max(epoch.dev["pairwise_accuracy"] for epoch in epochs) > 0.75
    assert np.array_equal(scores, trained_scores()[0])


# -- the stage


def run_bilstm(**changes):
    own = {
        "data__source": "data/raw/pairs.csv",
        "data__grades": ["no", "half", "whole"],
        "bilstm": SETTINGS,
        "training__max_epochs": 2,
    }
    return run_stage(bilstm_stage, params_with(**{**own, **changes}))


def written():
    return file_hashes(Path("data/predictions"), Path("reports"))


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """The test split of a project, entered, that has nothing but prepared splits of three grades."""
    monkeypatch.chdir(tmp_path)
    paths.PREPARED.mkdir(parents=True)
    test = colour_pairs(40, seed=2)
    colour_pairs(160).to_parquet(paths.TRAIN)
    colour_pairs(40, seed=1).to_parquet(paths.DEV)
    test.to_parquet(paths.TEST)
    return test


@pytest.mark.usefixtures("prepared")
def test_the_stage_writes_these_files_twice_the_same():
    run_bilstm()
    first = written()
    run_bilstm()
    assert written() == first
    assert set(first) == {
        "data/predictions/bilstm_test.parquet",
        "reports/bilstm/curve.csv",
        "reports/bilstm/metrics.json",
    }


def test_the_stage_reports_what_its_predictions_say(prepared):
    record = run_bilstm()
    predictions = pd.read_parquet(paths.BILSTM_PREDICTIONS)
    metrics = json.loads(paths.stage_metrics("bilstm").read_text())
    logits = predictions[["logit_0", "logit_1", "logit_2"]].to_numpy()
    assert predictions["predicted"].tolist() == logits.argmax(axis=1).tolist()
    assert predictions[["query_id", "grade"]].equals(prepared[["query_id", "grade"]])
    right = (predictions["predicted"] == prepared["grade"]).mean()
    assert metrics["test_accuracy"] == pytest.approx(right)
    assert 0 < metrics["dev_accuracy"] <= 1
    curve = pd.read_csv(paths.BILSTM_CURVE)
    assert curve["epoch"].tolist() == [1, 2]
    assert curve["dev_qwk"][metrics["best_epoch"] - 1] == pytest.approx(metrics["dev_qwk"], rel=1e-5)
    assert (metrics["epochs"], metrics["converged"]) == (2, metrics["best_epoch"] < 2)
    assert metrics["undefined"] == {}
    assert record.metrics.items() <= metrics.items()
    assert record.artifacts == [paths.stage_metrics("bilstm"), paths.BILSTM_CURVE]


def test_the_stage_trains_a_ranker_by_the_objective(prepared):
    for path in (paths.TRAIN, paths.DEV, paths.TEST):
        split = pd.read_parquet(path)
        split.assign(grade=split["grade"] / 4).to_parquet(path)
    run_bilstm(data__grades="numbers", finetune__objective="pairwise")
    predictions = pd.read_parquet(paths.BILSTM_PREDICTIONS)
    metrics = json.loads(paths.stage_metrics("bilstm").read_text())
    assert predictions.dtypes.astype(str).to_dict() == {"query_id": "int64", "grade": "float64", "score": "float32"}
    assert predictions["grade"].equals(prepared["grade"] / 4)
    expected = split_metrics(predictions, predictions[["score"]].to_numpy())[0]["ndcg_at_10"]
    assert metrics["test_ndcg_at_10"] == pytest.approx(expected)
    assert pd.read_csv(paths.BILSTM_CURVE)["dev_pairwise_log_loss"].notna().all()


@pytest.mark.parametrize(
    ("changes", "measure", "columns"),
    [
        ({}, "accuracy", ["query_id", "grade", "predicted", "logit_0", "logit_1", "logit_2"]),
        ({"finetune__objective": "listwise"}, "ndcg_at_10", ["query_id", "grade", "score"]),
    ],
)
@pytest.mark.usefixtures("prepared")
def test_without_training_pairs_the_stage_ends_without_rows(changes, measure, columns):
    pd.read_parquet(paths.TRAIN)[:0].to_parquet(paths.TRAIN)
    record = run_bilstm(**changes)
    predictions = pd.read_parquet(paths.BILSTM_PREDICTIONS)
    assert (list(predictions), len(predictions)) == (columns, 0)
    assert len(pd.read_csv(paths.BILSTM_CURVE)) == 0
    metrics = json.loads(paths.stage_metrics("bilstm").read_text())
    assert metrics["epochs"] == 0
    assert metrics[f"test_{measure}"] is None
    assert metrics["undefined"][f"test_{measure}"] == "there are no training pairs"
    assert record.curve == []
