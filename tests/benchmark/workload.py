"""What is timed: the embedded model and generated pairs, so that everyone can repeat it."""

from dataclasses import dataclass

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from pipeline.core.config import load_params
from pipeline.data.synthetic import generate
from pipeline.models.checkpoints import load_before
from pipeline.models.tokenization import EncodedPairs, encode_pairs

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Workload:
    model: PreTrainedModel
    pairs: EncodedPairs

    @property
    def shape(self) -> tuple[int, int]:
        config = self.model.config
        return config.num_hidden_layers, config.num_attention_heads


def embedded(pairs: int) -> Workload:
    """The pretrained default and generated pairs; its fresh classifier is drawn wide, for logits of usual size."""
    model, tokenizer = load_before(load_params(), [], CPU)
    with torch.no_grad():
        model.classifier.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    return Workload(model, generated_pairs(tokenizer, pairs))


def random_encoder(layers: int, pairs: int) -> Workload:
    """The default's sizes with another number of layers."""
    like = embedded(pairs)
    settings = like.model.config.to_dict() | {"num_hidden_layers": layers}
    torch.manual_seed(0)
    return Workload(BertForSequenceClassification(BertConfig(**settings)).eval(), like.pairs)


def generated_pairs(tokenizer, pairs: int) -> EncodedPairs:
    """Generated pairs of 22 tokens or more, about 24 on average: shorter ones flatter whoever does not pad."""
    corpus = generate(language="en", train_pairs=8 * pairs, dev_pairs=10, test_pairs=10, label_noise=0.0, seed=0)
    train = corpus[corpus["split"] == "train"]
    encoded = encode_pairs(tokenizer, train["query"].tolist(), train["title"].tolist(), 128)
    return encoded.take(np.flatnonzero(encoded.lengths >= 22)[:pairs])


def single_heads(layers: int, heads: int) -> np.ndarray:
    """Every head masked alone, [intervention, layer, head]."""
    masks = np.ones((layers * heads, layers, heads), dtype=np.float32)
    masks.reshape(layers * heads, -1)[np.diag_indices(layers * heads)] = 0
    return masks


def random_masks(count: int, masked: int, layers: int, heads: int) -> np.ndarray:
    """`count` interventions that each mask `masked` random heads."""
    rng = np.random.default_rng(0)
    masks = np.ones((count, layers * heads), dtype=np.float32)
    for row in masks:
        row[rng.choice(layers * heads, masked, replace=False)] = 0
    return masks.reshape(count, layers, heads)
