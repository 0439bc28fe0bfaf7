"""Tiny projects, params, tokenizers, checkpoints and random classifiers."""

import hashlib
import json
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
import yaml
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.precision import FLOAT32, Precision
from pipeline.core.config import Params
from pipeline.models.checkpoints import Loaded, load_before
from pipeline.models.inference import predict
from pipeline.models.random_init import SPECIAL_TOKENS
from pipeline.models.tokenization import QUERY, SPECIAL, TITLE, EncodedPairs, encode_pairs

PARAMS = Path(__file__).parents[2] / "params.yaml"
GRADES = ["1", "2", "3", "4", "5"]
CPU = torch.device("cpu")
CHECKPOINT = Path("data/checkpoints/tiny")
TEXTS = ["red shoe", "Red hat!", "red bag", "blue hat", "红色的鞋"]
SCRATCH = {"layers": 2, "heads": 2, "hidden": 16, "vocabulary": 100}


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


def ablation_engine(
    model: PreTrainedModel, batch_tokens: int, precision: Precision = FLOAT32, **settings: Any
) -> AblationEngine:
    return AblationEngine(AblatableEncoder.from_pretrained_model(model, precision), batch_tokens, **settings)


def load_tiny(name: str = str(CHECKPOINT), **changes: Any) -> Loaded:
    """The model before fine-tuning under `tiny_params`, and its tokenizer."""
    return load_before(tiny_params(name, **changes), TEXTS, CPU)


def logits_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Logits of two short pairs."""
    return predict(model, encode_pairs(tokenizer, ["red hat", "abc"], ["hat", "red a b"], 32), tokenizer.pad_token_id)


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


VOCABULARY = 60
# What a family's tiny model needs beside the settings that all share.
FAMILY_SETTINGS: dict[str, dict[str, Any]] = {
    "distilbert": {"hidden_dim": 40},
    # A sliding layer sees four tokens to each side.
    "modernbert": {"local_attention": 8, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
    "deberta-v2": {
        **{"relative_attention": True, "position_buckets": 6, "pos_att_type": ["p2c", "c2p"], "share_att_key": True},
        **{"position_biased_input": False, "norm_rel_ebd": "layer_norm"},
    },
}


def random_classifier(family: str, layers: int = 2, heads: int = 3, seed: int = 0, **config) -> PreTrainedModel:
    """A classifier with weights large enough that every head moves the logits; of five grades by default."""
    torch.manual_seed(seed)
    shared = {
        "vocab_size": VOCABULARY,
        "hidden_size": 8 * heads,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 40,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "num_labels": 5,
        "pad_token_id": 1 if "roberta" in family or family == "camembert" else 0,
        "initializer_range": 0.3,
    }
    settings = AutoConfig.for_model(family, **(shared | FAMILY_SETTINGS.get(family, {}) | config))
    model = AutoModelForSequenceClassification.from_config(settings).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return model


def random_pairs(lengths: list[int], seed: int = 0) -> EncodedPairs:
    """Pairs of the given lengths (4 or more): [CLS] query [SEP] title [SEP] of random tokens."""
    rng = np.random.default_rng(seed)
    segments = []
    for length in lengths:
        boundary = int(rng.integers(2, length - 1))
        segment = np.full(length, TITLE)
        segment[1:boundary] = QUERY
        segment[[0, boundary, length - 1]] = SPECIAL
        segments.append(segment.astype(np.int8))
    segment = np.concatenate(segments)
    return EncodedPairs(
        ids=rng.integers(5, VOCABULARY, len(segment)),
        types=(segment == TITLE).astype(np.int64),
        segment=segment,
        offsets=np.zeros((len(segment), 2), dtype=np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        truncated=np.zeros(len(lengths), dtype=bool),
    )


def run_stage(stage: ModuleType, params: Params) -> SimpleNamespace:
    """Run a stage in the current folder; returns what it recorded."""
    record = SimpleNamespace(metrics={}, artifacts=[], curve=[], model=None, dataset=[])
    stage.main(params, record)
    return record


def file_hashes(*folders: Path) -> dict[str, str]:
    """sha256 of every file below the folders, by its path."""
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
