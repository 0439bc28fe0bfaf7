"""Recovery of smaller models on a small corpus that they can learn."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from pipeline.core.config import Params
from pipeline.models.checkpoints import Loaded, load_before
from pipeline.models.inference import predict
from pipeline.models.removal import Kept
from pipeline.models.tokenization import encode_split
from pipeline.pruning.predictions import MaskedPredictions, RecoveredPredictions
from pipeline.pruning.recovery import Recovery
from pipeline.pruning.units import Unit, prunable_units
from pipeline.stats.bootstrap import QuerySample
from tests.support.builders import CPU, SCRATCH, ablation_engine, colour_pairs, params_with

SPLIT = colour_pairs(160)
LENGTH, RATE = 16, 0.01


def settings(**pruning) -> Params:
    changes = {"recovery_epochs": 6, "recovery_learning_rate": RATE, **pruning}
    return params_with(
        data__source="data/raw/pairs.csv",
        data__grades=["no", "half", "whole"],
        model__name="scratch",
        model__max_length=LENGTH,
        model__scratch=SCRATCH,
        finetune__batch_size=16,
        **{f"pruning__{key}": value for key, value in changes.items()},
    )


def untrained(params: Params) -> Loaded:
    return load_before(params, [*SPLIT["query"], *SPLIT["title"]], CPU)


def untrained_predictions(params: Params) -> tuple[MaskedPredictions, Recovery]:
    """Predictions of an untrained model on SPLIT at temperature 2, and its recovery."""
    model, tokenizer = untrained(params)
    pairs, engine = encode_split(tokenizer, SPLIT, LENGTH), ablation_engine(model, 4096)
    units = prunable_units(engine.encoder, pairs, 4096, 3)
    sample, slices = QuerySample(SPLIT["query_id"].to_numpy(), 100, seed=0), pd.DataFrame(index=SPLIT.index)
    masked = MaskedPredictions(units, 2.0, pairs, SPLIT["grade"].to_numpy(), sample, slices, model, engine)
    return masked, Recovery(model, tokenizer, SPLIT, SPLIT, params)


def without_a_head(model: torch.nn.Module) -> Kept:
    kept = Kept.everything(model)
    kept.heads[0, 0] = False
    kept.neurons[1, ::2] = False
    return kept


@pytest.mark.parametrize("targets", ["grades", "predictions"])
def test_a_smaller_model_learns_and_the_whole_one_stays(targets: str):
    params = settings(recovery_targets=targets)
    model, tokenizer = untrained(params)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    recovery = Recovery(model, tokenizer, SPLIT, SPLIT, params)
    small = recovery.trained(without_a_head(model))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert small.num_parameters() < model.num_parameters()
    pairs = encode_split(tokenizer, SPLIT, LENGTH)
    if targets == "grades":
        assert (predict(small, pairs, 0).argmax(axis=1) == SPLIT["grade"]).mean() > 0.8
    else:  # what the model does before it has learnt anything, hardly better than nothing on the grades
        taught, told = (softmax(predict(one, pairs, 0), axis=1) for one in (model, small))
        assert np.abs(taught - told).mean() < 0.05
        assert (told.argmax(axis=1) == SPLIT["grade"]).mean() < 0.6


def test_the_same_steps_give_the_same_weights():
    params = settings(recovery_epochs=1)
    model, tokenizer = untrained(params)
    recovery = Recovery(model, tokenizer, SPLIT, SPLIT, params)
    first, again = (recovery.trained(without_a_head(model)).state_dict() for _ in range(2))
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())


def test_predictions_are_compared_with_the_whole_model_after_the_same_steps():
    masked, recovery = untrained_predictions(settings(recovery_epochs=2))
    pairs, units = masked.encoded, masked.units
    recovered = RecoveredPredictions.of_pairs(masked, recovery)
    whole = predict(recovery.trained(Kept.everything(masked.model)), pairs, 0)
    np.testing.assert_array_equal(recovered.evaluated.unmasked_logits, whole / np.float32(2))
    removed = [Unit("head", 1, 1), Unit("neurons", 0, 3)]
    small = predict(recovery.trained(units.kept(removed)), pairs, 0)
    np.testing.assert_array_equal(recovered.logits([removed])[0], small / np.float32(2))
    np.testing.assert_array_equal(predict(recovered.smaller_model(removed), pairs, 0), small)
    np.testing.assert_allclose(
        predict(masked.smaller_model(removed), pairs, 0), 2 * masked.logits([removed])[0], atol=1e-5
    )


def test_the_whole_model_is_trained_once(monkeypatch):
    """Its predictions are what smaller ones are compared with, and it is what is left where nothing can go."""
    masked, recovery = untrained_predictions(settings(recovery_epochs=1))
    trained, train = [], Recovery.trained
    monkeypatch.setattr(Recovery, "trained", lambda self, kept: trained.append(kept) or train(self, kept))
    recovered = RecoveredPredictions.of_pairs(masked, recovery)
    whole = recovered.evaluated.unmasked_logits * np.float32(masked.temperature)
    for layer in (0, 1, 0):
        recovered.smaller_model([Unit("head", layer, 0)])
    np.testing.assert_array_equal(predict(recovered.smaller_model(()), masked.encoded, 0), whole)
    assert len(trained) == 3
