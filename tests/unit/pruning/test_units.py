"""Activity of neurons, protected units and controls against the framework's hooks and by hand."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.config import Protect
from pipeline.core.errors import InputError
from pipeline.models.inference import collate
from pipeline.models.removal import pruned_model
from pipeline.pruning.controls import DRAWS, control_sets
from pipeline.pruning.protection import protected_units
from pipeline.pruning.units import BLOCKS, Unit, neuron_activity, prunable_units
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.reference import contractions, output_projections

PAIRS = random_pairs([5, 9, 9, 17])
LAYERS, HEADS, NEURONS = 3, 3, 40


@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta-v2"])
def test_activity_is_what_hooks_see(family: str):
    model = random_classifier(family, layers=LAYERS)
    seen: list[torch.Tensor] = []
    for module in contractions(model):
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].abs()))
    expected = np.zeros((LAYERS, NEURONS))
    for pair in range(len(PAIRS)):
        seen.clear()
        with torch.no_grad():
            model(**collate(PAIRS, np.array([pair]), 0, model.device))
        for layer, fired in enumerate(seen):
            expected[layer] += (fired[:1] if layer == LAYERS - 1 else fired).sum(dim=0).numpy()
    norms = [module.weight.detach().norm(dim=0).numpy() for module in contractions(model)]
    found = neuron_activity(ablation_engine(model, 4096).encoder, PAIRS, 20)
    np.testing.assert_allclose(found, expected * norms, rtol=1e-4)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_blocks_rise_in_activity_and_units_cost_what_removing_them_saves(family: str):
    model = random_classifier(family, layers=LAYERS)
    encoder = ablation_engine(model, 4096).encoder
    units, activity = prunable_units(encoder, PAIRS, 4096, 3), neuron_activity(encoder, PAIRS, 4096)
    assert len(units.every()) == LAYERS * (HEADS + BLOCKS)
    for layer in range(LAYERS):
        means = [activity[layer, units.blocks[layer] == block] for block in range(BLOCKS)]
        assert all(lower.max() <= upper.min() for lower, upper in pairwise(means))
    weights = sum(weight.numel() for weight in model.parameters())
    for unit in (Unit("head", 1, 2), Unit("neurons", 0, 3)):
        small = pruned_model(model, units.kept([unit]))
        biases = 0 if family == "modernbert" else 3 * 8 if unit.kind == "head" else NEURONS // BLOCKS
        assert weights - sum(weight.numel() for weight in small.parameters()) == units.cost([unit]) + biases


LABELS = pd.DataFrame(
    {
        "layer": [0, 1, 2],
        "head": [1, 0, 2],
        "function": ["term_match", "term_match", "cls"],
        "is_labelled": [True, False, True],
        "written_difference_low": [0.2, 0.1, 0.3],
    }
)


def units_of_bert():
    encoder = ablation_engine(random_classifier("bert", layers=LAYERS), 4096).encoder
    return prunable_units(encoder, PAIRS, 4096, 3), encoder


def protect(**what) -> Protect:
    return Protect.model_validate({"heads": [], "labels": [], "layers": []} | what)


def test_heads_labels_and_layers_are_protected():
    units, _ = units_of_bert()
    reasons = protected_units(protect(heads=[[2, 0]], labels=["term_match"], layers=[1]), LABELS, units)
    layer = {unit for unit in units.every() if unit.layer == 1}
    assert set(reasons) == layer | {Unit("head", 2, 0), Unit("head", 0, 1)}
    assert reasons[Unit("head", 0, 1)] == "heads labelled term_match are protected"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"heads": [[3, 0]]}, r"pruning.protect.heads holds \[3, 0\].*up to \[2, 2\]"),
        ({"labels": ["matching"]}, "pruning.protect.labels holds 'matching'.*cls, term_match"),
        ({"layers": [3]}, "pruning.protect.layers holds 3.*0 to 2"),
    ],
)
def test_what_the_model_does_not_have_is_refused(what: dict, message: str):
    with pytest.raises(InputError, match=message):
        protected_units(protect(**what), LABELS, units_of_bert()[0])


def test_controls_have_the_size_of_the_set():
    units, encoder = units_of_bert()
    removed = (Unit("head", 0, 1), Unit("head", 0, 2), Unit("head", 2, 0), Unit("neurons", 1, 3))
    sets = control_sets(removed, units, encoder, seed=0)
    assert Counter(name for name, _ in sets) == {"random": DRAWS, "layer_matched": DRAWS, "magnitude": 1}
    for name, chosen in sets:
        assert len(set(chosen)) == len(removed)
        assert sum(unit.kind == "head" for unit in chosen) == 3
        if name == "layer_matched":
            assert Counter(unit[:2] for unit in chosen) == Counter(unit[:2] for unit in removed)
    assert sets == control_sets(removed, units, encoder, seed=0)
    assert sets != control_sets(removed, units, encoder, seed=1)


def test_the_smallest_output_weights_are_the_magnitude_control():
    model = random_classifier("bert", layers=LAYERS)
    with torch.no_grad():
        output_projections(model)[1].weight[:, 8:16] *= 0.01
    encoder = ablation_engine(model, 4096).encoder
    *_, (_, chosen) = control_sets([Unit("head", 0, 0)], prunable_units(encoder, PAIRS, 4096, 3), encoder, seed=0)
    assert chosen == (Unit("head", 1, 1),)
