"""Small random classifiers of every supported family, and random pairs for them."""

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from pipeline.model.encoding import QUERY, SPECIAL, TITLE, Encoded

VOCABULARY = 60


def random_classifier(family: str, layers: int = 2, heads: int = 3, seed: int = 0, **config) -> PreTrainedModel:
    """A classifier of five grades with weights large enough that every head moves the logits."""
    torch.manual_seed(seed)
    settings = AutoConfig.for_model(
        family,
        vocab_size=VOCABULARY,
        hidden_size=8 * heads,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=40,
        max_position_embeddings=64,
        type_vocab_size=2,
        num_labels=5,
        pad_token_id=1 if "roberta" in family or family == "camembert" else 0,
        initializer_range=0.3,
        **config,
    )
    model = AutoModelForSequenceClassification.from_config(settings).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return model


def random_pairs(lengths: list[int], seed: int = 0) -> Encoded:
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
    return Encoded(
        ids=rng.integers(5, VOCABULARY, len(segment)),
        types=(segment == TITLE).astype(np.int64),
        segment=segment,
        offsets=np.zeros((len(segment), 2), dtype=np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        truncated=np.zeros(len(lengths), dtype=bool),
    )
