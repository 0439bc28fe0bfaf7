"""Profiles worked by hand."""

import numpy as np
import pytest

from pipeline.attention.head_functions import FUNCTIONS
from pipeline.attention.head_labels import attention_profiles, profile_metrics

NAN = np.nan


def test_each_pair_weighs_the_same_and_undefined_pairs_nothing():
    scores = np.zeros((3, 2, 2, len(FUNCTIONS)), dtype=np.float32)
    scores[:, 1, 0, 0] = [0.25, NAN, 0.75]
    chances = np.full((3, len(FUNCTIONS)), 0.1, dtype=np.float32)
    chances[:, 0] = [0.2, NAN, 0.4]
    frame = attention_profiles({"after": scores}, chances)
    assert list(frame.columns) == ["layer", "head", "function", "phase", "score", "chance"]
    assert len(frame) == 2 * 2 * len(FUNCTIONS)
    assert tuple(frame["function"][: len(FUNCTIONS)]) == FUNCTIONS
    row = frame.query("layer == 1 and head == 0 and function == 'term_match'").iloc[0]
    assert (row["phase"], row["score"], row["chance"]) == ("after", pytest.approx(0.5), pytest.approx(0.3))
    assert frame.drop(row.name)["score"].eq(0).all()


def test_headline_compares_phases_and_leaves_the_undefined_null():
    scores = np.zeros((2, 1, 2, len(FUNCTIONS)))
    scores[:, 0, :, 4] = [[0.1, 0.3], [0.1, 0.3]]
    chances = np.full((2, len(FUNCTIONS)), 0.5)
    scores[..., 1] = chances[:, 1] = NAN
    scores[1, ..., 0] = chances[1, 0] = NAN
    numbers = profile_metrics(attention_profiles({"before": scores, "after": scores * 2}, chances), chances)
    assert numbers["dev_pairs"] == 2
    assert [numbers[f"self_{key}"] for key in ("before", "after", "change", "strongest", "chance", "pairs")] == (
        pytest.approx([0.2, 0.4, 0.2, 0.6, 0.5, 2])
    )
    assert numbers["segmentation_after"] is None
    assert (numbers["segmentation_pairs"], numbers["term_match_pairs"]) == (0, 1)
    assert not any(value != value for value in numbers.values())


def test_headline_without_a_model_before_says_nothing_of_it():
    scores, chances = np.full((2, 1, 2, len(FUNCTIONS)), 0.2), np.full((2, len(FUNCTIONS)), 0.5)
    numbers = profile_metrics(attention_profiles({"after": scores}, chances), chances)
    of_self = {name: value for name, value in numbers.items() if name.startswith("self_")}
    assert of_self == pytest.approx({"self_after": 0.2, "self_strongest": 0.2, "self_chance": 0.5, "self_pairs": 2})
