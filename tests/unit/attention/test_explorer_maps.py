"""Attention in sixteen levels, against values worked by hand and the framework's own."""

import numpy as np
import pytest
import torch

from pipeline.attention.example_pairs import MOST_MAPPED
from pipeline.attention.explorer_maps import LEVELS, level_maps, quantise
from tests.support.builders import random_classifier, random_pairs


@pytest.mark.parametrize(("attention", "level"), [(0.0, 0), (1 / 225, 1), (0.25, 8), (0.64, 12), (1.0, 15)])
def test_a_level_is_the_nearest_root(attention: float, level: int):
    """The root of 0.25 is 7.5 fifteenths, which rounds to the even 8."""
    assert quantise(np.array([attention], dtype=np.float16 if attention in (0, 1) else np.float64)) == [level]


def test_levels_are_off_by_no_more_than_said():
    attention = np.linspace(0, 1, 10001)
    kept = (quantise(attention) / LEVELS) ** 2
    assert np.abs(kept - attention).max() < 0.0657
    assert np.abs(kept - attention)[attention < 0.01].max() < 0.006


def test_long_pairs_are_mapped_by_their_first_tokens():
    """The levels of a model's own attention, run by the framework on the pair alone."""
    model, encoded = random_classifier("bert").eval(), random_pairs([9, MOST_MAPPED + 5])
    model.set_attn_implementation("eager")
    maps = level_maps({"after": model}, encoded, [1, 0])
    assert {name: levels.shape[2:] for name, levels in maps.items()} == {"after_0": (40, 40), "after_1": (9, 9)}
    for number, pair in enumerate((1, 0)):
        span = encoded.tokens(pair)
        inputs = {"input_ids": encoded.ids[span], "token_type_ids": encoded.types[span]}
        with torch.inference_mode():
            given = {name: torch.from_numpy(values)[None] for name, values in inputs.items()}
            layers = model.base_model(**given, output_attentions=True).attentions
        expected = torch.cat(layers).numpy()[..., :MOST_MAPPED, :MOST_MAPPED]
        kept = (maps[f"after_{number}"] / LEVELS) ** 2
        assert np.abs(kept - expected).max() < 0.067
