"""Fine-tuning learns, is reproducible bit for bit, keeps the best epoch; the stage's files say what the model does."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core import paths
from pipeline.core.config import Training
from pipeline.core.errors import InputError
from pipeline.models import trainer_setup
from pipeline.models.checkpoints import load_before, load_tuned
from pipeline.models.early_stopping import EarlyStopping
from pipeline.models.finetuning import fine_tune_on_shuffled_grades
from pipeline.models.grading_training import fine_tune_grader
from pipeline.models.inference import predict, prediction_table
from pipeline.models.onednn_linear import onednn_linears
from pipeline.models.random_init import build_scratch
from pipeline.models.tokenization import encode_split
from pipeline.models.trainer_setup import LengthGroupedSampler
from pipeline.stages import finetune
from pipeline.stats.metrics import grade_metrics, ndcg
from tests.support.builders import (
    CPU,
    SCRATCH,
    colour_pairs,
    file_hashes,
    params_with,
    random_classifier,
    random_pairs,
    run_stage,
    save_checkpoint,
)

TRAINING = {"max_epochs": 3, "patience": 3}
SETTINGS = {
    "objective": "classes",
    "learning_rate": 0.01,
    "batch_size": 16,
    "warmup_share": 0.1,
    "weight_decay": 0.01,
    "dropout": 0.1,
}


def three_grades(**changes):
    return params_with(
        **{
            "data__source": "data/raw/pairs.csv",
            "data__grades": ["no", "half", "whole"],
            "model__name": "scratch",
            "model__max_length": 16,
            "model__scratch": SCRATCH,
            "training": TRAINING,
            "finetune": SETTINGS,
            **changes,
        }
    )


def trained(scores=None, count=48, **changes):
    """A scratch model after fine-tuning, its curve, and the weights judged; `scores` stand in for the dev qwk."""
    params = three_grades(**changes)
    split = colour_pairs(count)
    model, tokenizer = load_before(params, [*split["query"], *split["title"]], CPU)
    pairs = encode_split(tokenizer, split, params.model.max_length)
    given = iter(scores or [])
    seen = []

    def judge():
        seen.append({name: weight.clone() for name, weight in model.state_dict().items()})
        if scores:
            return {"qwk": next(given), "log_loss": 1.0}
        return grade_metrics(predict(model, pairs, 0), split["grade"].to_numpy(), split["query_id"].to_numpy())[0]

    stopping = EarlyStopping("test", judge, params.training)
    curve = fine_tune_grader(model, pairs, split["grade"].to_numpy(), 0, stopping, params.finetune, params.run.seed)
    return model, curve, seen


def weights_equal(state, other):
    return all(torch.equal(weight, other[name]) for name, weight in state.items())


def test_it_learns():
    epochs = trained(count=160, training={"max_epochs": 8, "patience": 8})[1].epochs
    assert [epoch.number for epoch in epochs] == list(range(1, 9))
    assert epochs[-1].train_loss < 0.6 * epochs[0].train_loss
    assert max(epoch.dev["accuracy"] for epoch in epochs) > 0.85


def test_on_shuffled_grades_nothing_is_learnt():
    params, split = three_grades(training={"max_epochs": 8, "patience": 8}), colour_pairs(160)
    start = load_before(params, [*split["query"], *split["title"]], CPU)
    grades = split["grade"].copy()
    model = fine_tune_on_shuffled_grades(start, split, split, params)
    assert split["grade"].equals(grades)
    assert not model.training
    predicted = predict(model, encode_split(start[1], split, 16), 0).argmax(axis=1)
    assert (predicted == grades).mean() < 0.7


def test_two_trainings_match_bit_for_bit_and_another_seed_does_not():
    first, again, other = trained(), trained(), trained(run__seed=14)
    assert weights_equal(first[0].state_dict(), again[0].state_dict())
    assert first[1] == again[1]
    assert not weights_equal(first[0].state_dict(), other[0].state_dict())


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.1, 0.3, 0.2], 2), ([0.1, 0.3, 0.3], 2), ([None, None, 0.0], 3), ([None, None, None], 1), ([0.5, 0.2, 0.1], 1)],
)
def test_the_best_epoch_is_kept(scores, expected):
    model, curve, seen = trained(scores)
    assert curve.best == expected
    assert len(curve.epochs) == 3
    assert not model.training
    assert weights_equal(model.state_dict(), seen[curve.best - 1])
    assert not weights_equal(seen[0], seen[2])


def test_training_ends_when_patience_does():
    _, curve, seen = trained([0.5, 0.2, 0.1, 0.9], training={"max_epochs": 20, "patience": 2})
    assert (curve.best, len(curve.epochs), len(seen)) == (1, 3, 3)


def test_through_onednn_it_learns_the_same_and_the_same_bits_again(monkeypatch):
    own = trained()
    monkeypatch.setattr(trainer_setup, "linears_for_training", lambda model, device: onednn_linears(model))
    first, again = trained(), trained()
    assert weights_equal(first[0].state_dict(), again[0].state_dict())
    assert first[1] == again[1]
    for epoch, other in zip(first[1].epochs, own[1].epochs, strict=True):
        assert epoch.train_loss == pytest.approx(other.train_loss, rel=1e-3)


def test_a_training_that_diverges_is_an_error():
    model = random_classifier("bert")
    torch.nn.init.constant_(model.classifier.bias, torch.nan)
    stopping = EarlyStopping("test", dict, Training(max_epochs=1, patience=1))
    with pytest.raises(InputError, match=r"finetune.learning_rate 0.01 lets the training loss become nan; lower it"):
        fine_tune_grader(model, random_pairs([6]), np.array([0]), 0, stopping, three_grades().finetune, 0)


def test_predictions_come_in_the_pairs_order_whatever_their_lengths():
    model = random_classifier("bert")
    pairs = random_pairs([5, 30, 4, 17, 30, 9])
    logits = predict(model, pairs, 0)
    assert logits.dtype == np.float32
    for pair in range(len(pairs)):
        place = pairs.tokens(pair)
        alone = model(
            input_ids=torch.from_numpy(pairs.ids[place])[None],
            token_type_ids=torch.from_numpy(pairs.types[place])[None],
        )
        assert logits[pair] == pytest.approx(alone.logits[0].detach().numpy(), abs=1e-5)


def test_logits_that_are_not_finite_are_an_error():
    model = random_classifier("bert")
    torch.nn.init.constant_(model.classifier.bias, torch.nan)
    with pytest.raises(InputError, match="not finite"):
        predict(model, random_pairs([5]), 0)


def test_prediction_table_worked_by_hand():
    split = pd.DataFrame({"query_id": [7, 8], "grade": [1, 0], "title": ["a", "b"]}, index=[5, 3])
    table = prediction_table(split, np.array([[0.5, 2.0], [1.5, -1.0]], dtype=np.float32))
    assert table.to_dict("list") == {
        "query_id": [7, 8],
        "grade": [1, 0],
        "predicted": [1, 0],
        "logit_0": [0.5, 1.5],
        "logit_1": [2.0, -1.0],
    }


def test_a_rankers_predictions_are_its_scores_and_its_grades_may_be_numbers():
    split = pd.DataFrame({"query_id": [7, 8], "grade": [1.5, 0.0]}, index=[5, 3])
    table = prediction_table(split, np.array([[0.5], [-1.0]], dtype=np.float32))
    assert table.to_dict("list") == {"query_id": [7, 8], "grade": [1.5, 0.0], "score": [0.5, -1.0]}


# -- the stage


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project with prepared splits of three grades; one test title is longer than max_length."""
    monkeypatch.chdir(tmp_path)
    paths.PREPARED.mkdir(parents=True)
    test = colour_pairs(40, seed=2)
    test.loc[3, "title"] = "red blue " * 20
    for path, split in (
        (paths.TRAIN, colour_pairs(160)),
        (paths.DEV, colour_pairs(40, seed=1)),
        (paths.TEST, test),
    ):
        split.to_parquet(path)
    return tmp_path


def run_finetune(**changes):
    return run_stage(finetune, three_grades(**changes))


def written():
    return file_hashes(Path("data/model"), Path("data/predictions"), Path("reports"))


def test_the_stage_writes_these_files_twice_the_same(project):
    run_finetune()
    first = written()
    run_finetune()
    assert written() == first
    assert set(first) == {
        "data/model/config.json",
        "data/model/model.safetensors",
        "data/model/tokenizer.json",
        "data/model/tokenizer_config.json",
        "data/predictions/test.parquet",
        "reports/finetune/metrics.json",
        "reports/finetune/curve.csv",
    }
    assert str(project) not in "".join(file.read_text() for file in Path("data/model").glob("*.json"))


def test_the_stage_reports_what_the_saved_model_does(project):
    record = run_finetune()
    test = pd.read_parquet(paths.TEST)
    model, tokenizer = load_tuned(paths.MODEL, CPU)
    logits = predict(model, encode_split(tokenizer, test, 16), 0)
    predictions = pd.read_parquet(paths.TEST_PREDICTIONS)
    metrics = json.loads(paths.stage_metrics("finetune").read_text())
    curve = pd.read_csv(paths.CURVE)

    assert np.array_equal(predictions[["logit_0", "logit_1", "logit_2"]].to_numpy(), logits)
    assert predictions["predicted"].tolist() == logits.argmax(axis=1).tolist()
    assert metrics["test_accuracy"] == pytest.approx((predictions["predicted"] == test["grade"]).mean())
    most_frequent = pd.read_parquet(paths.TRAIN)["grade"].mode()[0]
    assert metrics["test_majority_accuracy"] == pytest.approx((test["grade"] == most_frequent).mean())
    assert (metrics["train_truncated_pairs"], metrics["test_truncated_pairs"]) == (0, 1)
    assert metrics["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert metrics["undefined"] == {}
    assert metrics["epochs"] == len(curve) == 3
    assert metrics["converged"] == (metrics["best_epoch"] < 3)
    assert curve["dev_qwk"].iloc[metrics["best_epoch"] - 1] == pytest.approx(metrics["dev_qwk"], rel=1e-5)
    assert model.config.id2label == {0: "no", 1: "half", 2: "whole"}
    assert record.model == paths.MODEL
    assert record.metrics.items() <= metrics.items()
    assert [step for name, _, step in record.curve if name == "train_loss"] == [1, 2, 3]


def test_the_stage_evaluates_a_checkpoint_that_is_fine_tuned_already(project):
    folder = "data/checkpoints/tuned"
    saved = random_classifier("bert", heads=2)
    saved.classifier = torch.nn.Linear(16, 3)
    save_checkpoint(Path(folder), saved, id2label={0: "a", 1: "b", 2: "c"})
    record = run_finetune(
        model__name=folder,
        model__fine_tuned=True,
        model__pretrained_from=folder,
        model__label_order=["whole", "no", "half"],
    )
    curve = pd.read_csv(paths.CURVE)
    metrics = json.loads(paths.stage_metrics("finetune").read_text())
    assert record.model is None
    assert curve["epoch"].tolist() == [0]
    assert curve["train_loss"].isna().all()
    assert curve["dev_accuracy"][0] == pytest.approx(metrics["dev_accuracy"], rel=1e-5)
    assert (metrics["epochs"], metrics["best_epoch"], metrics["converged"]) == (0, 0, None)
    assert torch.equal(load_tuned(paths.MODEL, CPU)[0].classifier.weight, saved.classifier.weight[[1, 2, 0]])


def test_a_grader_that_is_fine_tuned_needs_no_training_pairs(project):
    folder = "data/checkpoints/tuned"
    saved = random_classifier("bert", heads=2)
    saved.classifier = torch.nn.Linear(16, 3)
    save_checkpoint(Path(folder), saved, id2label={0: "no", 1: "half", 2: "whole"})
    colour_pairs(3)[:0].to_parquet(paths.TRAIN)
    run_finetune(model__name=folder, model__fine_tuned=True, model__pretrained_from=folder)
    metrics = json.loads(paths.stage_metrics("finetune").read_text())
    assert metrics["train_truncated_pairs"] == 0
    assert metrics["test_accuracy"] is not None
    lexical = [f"{split}_{name}_accuracy" for split in ("dev", "test") for name in ("majority", "tfidf")]
    assert {name: metrics[name] for name in lexical} == dict.fromkeys(lexical)
    reasons = {name: reason for name, reason in metrics["undefined"].items() if name in lexical}
    assert reasons == dict.fromkeys(lexical, "there are no training pairs to fit it on")


# Of rankers, which the stage starts from a scratch model of one output.

RANKER = {"data__grades": "numbers", "training": {"max_epochs": 2, "patience": 2}}
RANKING = ["ndcg_at_10", "mrr_at_10", "pairwise_accuracy", "pairwise_log_loss", "score_margin", "spearman"]


@pytest.fixture
def ranker(project, monkeypatch):
    """The start of the stage in a project of numbers as grades: a model of one output and its tokenizer."""
    for path in (paths.TRAIN, paths.DEV, paths.TEST):
        split = pd.read_parquet(path)
        split.assign(grade=split["grade"] + 0.5).to_parquet(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        texts = [*split["query"], *split["title"]]
        start = build_scratch(three_grades().model.scratch, 16, ["score"], texts)
    monkeypatch.setattr(finetune, "load_start", lambda *_: start)
    return start


def test_the_stage_trains_a_ranker_and_compares_it_with_bm25(ranker):
    model, tokenizer = ranker
    record = run_finetune(**RANKER, finetune={**SETTINGS, "objective": "pairwise"})
    test, predictions = pd.read_parquet(paths.TEST), pd.read_parquet(paths.TEST_PREDICTIONS)
    metrics = json.loads(paths.stage_metrics("finetune").read_text())
    scores = predict(model, encode_split(tokenizer, test, 16), 0)[:, 0]
    assert predictions.dtypes.astype(str).to_dict() == {
        "query_id": "int64",
        "grade": "float64",
        "score": "float32",
        "bm25": "float64",
    }
    assert np.array_equal(predictions["score"], scores)
    assert predictions["grade"].equals(test["grade"])
    grades, query_ids = test["grade"].to_numpy(), test["query_id"].to_numpy()
    assert metrics["test_ndcg_at_10"] == pytest.approx(ndcg(scores, grades, query_ids), abs=1e-6)
    assert metrics["test_bm25_ndcg_at_10"] == pytest.approx(ndcg(predictions["bm25"].to_numpy(), grades, query_ids))
    assert metrics["score_standard_deviation"] == pytest.approx(scores.std(), rel=1e-5)
    assert (metrics["pooling"], metrics["test_truncated_pairs"], metrics["undefined"]) == ("cls", 1, {})
    assert set(metrics) >= {f"{split}_{name}" for split in ("dev", "test") for name in RANKING}
    assert pd.read_csv(paths.CURVE).columns.tolist() == ["epoch", "train_loss", *(f"dev_{name}" for name in RANKING)]
    assert record.metrics.items() <= metrics.items()
    assert "pooling" not in record.metrics  # a text is no metric
    assert record.model == paths.MODEL


@pytest.mark.usefixtures("ranker")
def test_the_stage_evaluates_a_ranker_without_training_pairs():
    pd.read_parquet(paths.TRAIN)[:0].to_parquet(paths.TRAIN)
    tuned = {"model__name": "data/checkpoints/tuned", "model__fine_tuned": True}
    record = run_finetune(**RANKER, **tuned, finetune={**SETTINGS, "objective": "listwise"})
    metrics = json.loads(paths.stage_metrics("finetune").read_text())
    assert (metrics["epochs"], metrics["train_truncated_pairs"], metrics["undefined"]) == (0, 0, {})
    assert metrics["dev_bm25_ndcg_at_10"] is not None
    assert pd.read_csv(paths.CURVE)["epoch"].tolist() == [0]
    assert record.model is None


def test_batches_hold_like_lengths_in_random_order_and_every_pair_once():
    lengths = np.random.default_rng(0).integers(5, 60, 1003)
    sampler = LengthGroupedSampler(lengths, 16, seed=1)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(1003))
    assert first != second
    assert first == list(LengthGroupedSampler(lengths, 16, seed=1))
    whole = lengths[first[: 1003 // 16 * 16]].reshape(-1, 16)
    assert np.ptp(whole, axis=1).mean() < 0.1 * np.ptp(lengths)
    # Neighbouring batches are no more alike than distant ones: that is what the shuffling is for.
    means = whole.mean(axis=1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.4
