"""A model as an ONNX file: inputs int64 [batch, length] as the tokenizer names them, output "logits" float32."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.core.atomic import replace_atomically
from pipeline.core.errors import InputError
from pipeline.models.families import family_of

LOGITS = "logits"
EXAMPLE = (["a query", "another"], ["a title", "a longer title"])  # what the export is traced with


class _Logits(nn.Module):
    """A model's logits alone."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **types).logits


def export_onnx(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, path: Path) -> None:
    """Write the model to an ONNX file, batch and length free.

    What the exporter notes of the code that it traced, with stack traces and paths of files, is left out: the same
    model gives the same bytes wherever it is exported.

    Args:
        model: in evaluation mode, on a CPU.
        tokenizer: its own; the file's inputs are named as its.

    Raises:
        InputError: the packages for it are not installed.
    """
    for package in ("onnx", "onnxscript"):
        import_package(package)
    names = input_names(model)
    encoded = tokenizer(*EXAMPLE, padding=True, return_token_type_ids=True, return_tensors="pt")
    shape = {0: Dim("batch"), 1: Dim("length", min=2)}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            _Logits(model).eval(),
            kwargs={name: encoded[name] for name in names},
            dynamo=True,
            dynamic_shapes=dict.fromkeys(names, shape),
            input_names=names,
            output_names=[LOGITS],
            verbose=False,
        )
    assert program is not None, "the exporter returns what it made"
    for graph in (program.model.graph, *(function.graph for function in program.model.functions.values())):
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
        for value in (
            *graph.inputs,
            *graph.outputs,
            *(output for node in graph.all_nodes() for output in node.outputs),
        ):
            value.metadata_props.clear()
    with replace_atomically(path) as temporary:
        program.save(temporary)


def input_names(model: PreTrainedModel) -> list[str]:
    """Names of the tokenizer's outputs that the model reads."""
    return ["input_ids", "attention_mask", *(["token_type_ids"] if family_of(model).has_segments else [])]


def import_package(name: str) -> Any:
    """Import a package of the extra `export`. Raises InputError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; pip install '.[export]', or make setup") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns of packages and of its own code."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
