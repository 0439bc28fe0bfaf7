"""ONNX files against the framework's forward, batches and lengths that the export was not traced with."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from transformers import PreTrainedModel

from pipeline.export.onnx_model import LOGITS, export_onnx, input_names
from pipeline.models.families import FAMILIES
from pipeline.models.inference import collate
from pipeline.models.removal import Kept, pruned_model
from tests.support.builders import CPU, random_classifier, random_pairs, tiny_tokenizer
from tests.support.cross_encoders import random_chain

PAIRS = random_pairs([5, 9, 9, 17, 30])
BATCHES = [[0], [1, 2], [0, 3, 4]]  # the last one padded
SLOW = [pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES[1:]]


def assert_same(model: PreTrainedModel, path: Path) -> None:
    export_onnx(model, tiny_tokenizer(), path)
    assert_says_nothing_of_the_machine(path)
    graph = onnx.load(path).graph
    shapes = {value.name: [size.dim_param for size in value.type.tensor_type.shape.dim] for value in graph.input}
    assert shapes == {name: ["batch", "length"] for name in input_names(model)}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in BATCHES:
        inputs = collate(PAIRS, np.array(batch), model.config.pad_token_id, CPU)
        inputs = {name: inputs[name] for name in input_names(model)}
        with torch.inference_mode():
            expected = model(**inputs).logits.numpy()
        (found,) = session.run([LOGITS], {name: value.numpy() for name, value in inputs.items()})
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("family", [FAMILIES[0], *SLOW])
def test_full_and_smaller_models_give_the_same_logits(family: str, tmp_path: Path):
    model = random_classifier(family, layers=3).eval()
    assert_same(model, tmp_path / "full.onnx")
    heads = np.array([[True, False, True], [False, False, False], [False, True, False]])
    small = pruned_model(model, Kept(heads, np.random.default_rng(0).random((3, 40)) < 0.5))
    assert_same(small, tmp_path / "small.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_chains(pooling: str, tmp_path: Path):
    assert_same(random_chain("modernbert", pooling).eval(), tmp_path / "chain.onnx")


@pytest.mark.slow
def test_a_model_gives_the_same_file_each_time(tmp_path: Path):
    model = random_classifier("bert").eval()
    for name in ("first.onnx", "again.onnx"):
        export_onnx(model, tiny_tokenizer(), tmp_path / name)
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()


def assert_says_nothing_of_the_machine(path: Path) -> None:
    content = path.read_bytes()
    assert b"site-packages" not in content
    assert b"stack_trace" not in content
