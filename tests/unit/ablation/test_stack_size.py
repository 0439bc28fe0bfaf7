"""Tokens in one matrix product: one number on every CPU, and what a GPU's memory holds."""

from dataclasses import replace

import pytest
import torch

from pipeline.ablation.stack_size import ON_A_CPU, stack_tokens, tokens_within
from tests.support.builders import ablation_engine, random_classifier


@pytest.fixture(scope="module")
def encoder():
    return ablation_engine(random_classifier("bert", layers=2), 100).encoder


def test_a_cpu_has_one_number_and_a_setting_holds(encoder):
    assert stack_tokens("auto", encoder) == ON_A_CPU
    assert stack_tokens(512, encoder) == 512


def test_a_gpu_takes_a_power_of_two_of_tokens_that_half_its_memory_holds(encoder, monkeypatch):
    """A token of this model holds 4 bytes x (3 x 24 x 2 + 4 x neurons); 40,000 of them round down to 32,768."""
    neurons, hidden = encoder.layers[0].feed_forward.neurons.shape
    a_token = 4 * (3 * hidden * 2 + 4 * neurons)
    assert tokens_within(40_000 * a_token, encoder) == 32_768
    assert tokens_within(10 * a_token, encoder) == 4096
    assert tokens_within(10**9 * a_token, encoder) == 65_536
    memory = type("Properties", (), {"total_memory": 80_000 * a_token})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    assert stack_tokens("auto", replace(encoder, device=torch.device("cuda"))) == 32_768
