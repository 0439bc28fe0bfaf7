import contextlib
from typing import get_args

import pytest
import torch

from pipeline.ablation.precision import PRECISIONS, TF32
from pipeline.ablation.sweep import load_tuned_model
from pipeline.core.config import Ablation
from pipeline.core.errors import InputError
from tests.support.builders import CPU, params_with

SETTINGS = torch.backends.cuda.matmul


@pytest.fixture(autouse=True)
def _as_found():
    before = SETTINGS.fp32_precision
    yield
    SETTINGS.fp32_precision = before


def test_params_know_every_precision_and_no_other():
    assert set(get_args(Ablation.model_fields["precision"].annotation)) == set(PRECISIONS)


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=lambda precision: precision.name)
def test_rounding_is_half_the_step_behind_one(precision):
    """Of the type, or for TF32 of its ten bits; a bound grows with it."""
    step = 2.0**-10 if precision is TF32 else torch.finfo(precision.dtype).eps
    assert precision.rounding == step / 2
    assert precision.error_bound == pytest.approx(max(1e-4, 1e-5 * precision.rounding * 2**24))


@pytest.mark.parametrize("found", ["tf32", "ieee"])
def test_products_are_set_for_a_block_and_set_back_after_an_error(found):
    SETTINGS.fp32_precision, cudnn = found, torch.backends.cuda.cudnn_sdp_enabled()
    inside = []
    for precision in PRECISIONS.values():
        with contextlib.suppress(RuntimeError), precision.products(torch.device("cuda")):
            inside.append((SETTINGS.fp32_precision, torch.backends.cuda.cudnn_sdp_enabled()))
            raise RuntimeError
        assert (SETTINGS.fp32_precision, torch.backends.cuda.cudnn_sdp_enabled()) == (found, cudnn)
    assert inside == [("ieee", False), ("tf32", False), ("ieee", False)]


def test_on_a_cpu_nothing_is_set():
    """Units are evaluated side by side there, and would set back each other's settings."""
    before = SETTINGS.fp32_precision, torch.backends.cuda.cudnn_sdp_enabled()
    with TF32.products(CPU):
        assert (SETTINGS.fp32_precision, torch.backends.cuda.cudnn_sdp_enabled()) == before


def test_tf32_on_a_cpu_is_refused_before_the_model_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = r"ablation.precision is 'tf32', which a CPU does not have: .*set it to 'float32' or 'bfloat16'"
    with pytest.raises(InputError, match=message):
        load_tuned_model(params_with(ablation__precision="tf32", run__device="cpu"))


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_have_tf32_from_ampere(capability, has, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "T4")
    if has:
        TF32.check_device(torch.device("cuda"))
    else:
        with pytest.raises(InputError, match=r"which this GPU \(T4\) does not have"):
            TF32.check_device(torch.device("cuda"))


def test_the_others_run_everywhere():
    for precision in PRECISIONS.values():
        if precision is not TF32:
            precision.check_device(CPU)
