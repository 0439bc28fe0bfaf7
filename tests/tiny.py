"""Params with a few keys changed, and checkpoints small enough to train in a second."""

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import yaml
from transformers import BertTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from pipeline.model.checkpoints import Loaded, load_before
from pipeline.model.encoding import encode
from pipeline.model.prediction import predict
from pipeline.model.scratch import SPECIAL_TOKENS
from pipeline.params import Params
from tests.models import VOCABULARY, random_classifier

PARAMS = Path(__file__).parents[1] / "params.yaml"
GRADES = ["1", "2", "3", "4", "5"]
CPU = torch.device("cpu")
CHECKPOINT = Path("data/checkpoints/tiny")
TEXTS = ["red shoe", "Red hat!", "red bag", "blue hat", "红色的鞋"]
SCRATCH = {"layers": 2, "heads": 2, "hidden": 16, "vocabulary": 100}


@pytest.fixture
def offline_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, entered, without a model hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def params_with(**changes: Any) -> Params:
    """The default params with `section__key=value`, or a whole `section=value`, changed."""
    values = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    for place, value in changes.items():
        section, _, key = place.partition("__")
        values[section] = {**values[section], key: value} if key else value
    return Params.model_validate(values)


def tiny_params(name: str = str(CHECKPOINT), **changes: Any) -> Params:
    """Params that name a tiny model."""
    return params_with(**{"model__name": name, "model__max_length": 32, "model__scratch": SCRATCH, **changes})


def load_tiny(name: str = str(CHECKPOINT), **changes: Any) -> Loaded:
    """The model before fine-tuning under `tiny_params`, and its tokenizer."""
    return load_before(tiny_params(name, **changes), TEXTS, CPU)


def logits_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Logits of two short pairs."""
    return predict(model, encode(tokenizer, ["red hat", "abc"], ["hat", "red a b"], 32), tokenizer.pad_token_id)


def tiny_tokenizer() -> BertTokenizer:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters), "red", "hat"][:VOCABULARY]
    return BertTokenizer(vocab={token: index for index, token in enumerate(tokens)})


def save_checkpoint(folder: Path, model: PreTrainedModel | None = None, **config: Any) -> PreTrainedModel:
    """Write a random classifier (bert of five labels unless another is given) with a tokenizer, and return it."""
    model = model if model is not None else random_classifier("bert", heads=2)
    for key, value in config.items():
        setattr(model.config, key, value)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return model


def colour_pairs(pairs: int, seed: int = 0, queries: int = 12) -> pd.DataFrame:
    """A split whose grade is the number of colours in the title: 0, 1 or 2."""
    rng = np.random.default_rng(seed)
    titles = [rng.choice(["red", "blue", "shoe", "hat", "bag"], 2, replace=False) for _ in range(pairs)]
    query_ids = rng.integers(0, queries, pairs)
    return pd.DataFrame(
        {
            "query_id": query_ids,
            "query": [f"{'abcdefghijkl'[query]} shoe" for query in query_ids],
            "title": [" ".join(title) for title in titles],
            "grade": [len({*title} & {"red", "blue"}) for title in titles],
        }
    )


@contextmanager
def edited_weights():
    """The weights of CHECKPOINT by name, written back after the block."""
    weights = safetensors.torch.load_file(CHECKPOINT / "model.safetensors")
    yield weights
    safetensors.torch.save_file(weights, CHECKPOINT / "model.safetensors", metadata={"format": "pt"})


def drop_weights(part: str) -> None:
    """Take the weights whose name holds `part` out of CHECKPOINT."""
    with edited_weights() as weights:
        for name in [name for name in weights if part in name]:
            del weights[name]


def edit_config(**changes: Any) -> None:
    path = CHECKPOINT / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
