"""Pairs spread over kinds, and attention in sixteen levels, against values worked by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.attention.example_pairs import MOST_MAPPED
from pipeline.attention.explorer_maps import (
    LEVELS,
    candidate_pairs,
    level_maps,
    quantise,
    spread_pairs,
    strata_of_pairs,
)
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


def test_pairs_are_spread_over_strata_the_cheapest_first():
    strata, cost = np.array([0, 0, 0, 1, 1, 2]), np.array([3, 1, 2, 0, 0, 9])
    assert spread_pairs(strata, cost, 4) == [3, 1, 5, 4]
    assert spread_pairs(strata, cost, 9) == [3, 1, 5, 4, 2, 0]
    assert spread_pairs(strata[:0], cost[:0], 3) == []


def test_strata_are_the_first_slicing_and_the_grade():
    pairs = pd.DataFrame({"query_id": 1, "query": "q", "title": "t", "grade": [0.0, 0.9, 1.0, 0.0]})
    assert strata_of_pairs(pairs).tolist() == [0, 0, 1, 0]
    assert strata_of_pairs(pairs.assign(kind=["b", "b", "a", None])).tolist() == [1, 1, 0, 2]


def test_twice_as_many_pairs_as_shown_are_kept_those_that_can_be_read_first():
    pairs = pd.DataFrame({"query_id": range(6), "query": "q", "title": "t", "grade": 0})
    assert candidate_pairs(pairs, np.array([200, 12, 5, 30, 31, 11]), 2) == [1, 3, 5, 0]


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
