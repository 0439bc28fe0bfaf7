"""Rerankers in every layout that sentence-transformers has saved, tiny, and the scores that it gives itself."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.core.config import Params
from pipeline.models.checkpoints import Loaded
from pipeline.models.inference import predict
from pipeline.models.scoring_chain import ScoringChain, dense, layer_norm
from pipeline.models.tokenization import encode_pairs
from tests.support.builders import CHECKPOINT, random_classifier, save_checkpoint, tiny_params

MAX_LENGTH = 32
TANH, IDENTITY = "torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity"


def ranker_params(name: str = str(CHECKPOINT), **changes: Any) -> Params:
    """Params that analyse a tiny reranker as it is."""
    return tiny_params(name, **{"model__fine_tuned": True, "finetune__objective": "pairwise", **changes})


def random_ranker(family: str, seed: int = 0, outputs: int = 1, **config: Any) -> PreTrainedModel:
    """A classifier of one output, whose scores spread over tens."""
    model = random_classifier(family, heads=2, seed=seed, num_labels=outputs, **config)
    last = getattr(model.classifier, "out_proj", model.classifier)
    with torch.no_grad():
        last.weight.normal_(0, 5)
    return model


def random_chain(family: str = "bert", pooling: Any = "cls", seed: int = 0) -> ScoringChain:
    """A scoring chain, whose scores spread over tens."""
    encoder = random_ranker(family, seed).base_model
    score = torch.nn.Sequential(
        dense(16, 12, False, torch.nn.GELU()), layer_norm(12), dense(12, 1, True, torch.nn.Identity())
    )
    with torch.no_grad():
        score[-1].get_parameter("linear.weight").normal_(0, 5)
    return ScoringChain(encoder, pooling, score).eval()


def save_old(folder: Path, family: str, dtype: torch.dtype = torch.float32) -> None:
    """Save as before version 5.4: transformers' files alone, the activation in config.json."""
    settings = {"activation_fn": TANH, "version": "4.1.0"}
    save_checkpoint(folder, random_ranker(family).to(dtype), sentence_transformers=settings)


def save_oldest(folder: Path, family: str, dtype: torch.dtype = torch.float32) -> None:
    """Save as before version 4: the activation in another key."""
    save_checkpoint(folder, random_ranker(family).to(dtype), sbert_ce_default_activation_function=TANH)


def save_new(folder: Path, family: str, dtype: torch.dtype = torch.float32) -> None:
    """Save by this version's `CrossEncoder`."""
    from sentence_transformers import CrossEncoder

    save_old(folder / "old", family, dtype)
    CrossEncoder(str(folder / "old")).save_pretrained(str(folder), create_model_card=False)


def save_chain(folder: Path, family: str, dtype: torch.dtype = torch.float32, pooling: Any = "cls") -> None:
    """Save Transformer, Pooling, Dense, LayerNorm and Dense by this version's `CrossEncoder`."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from sentence_transformers.sentence_transformer.modules.layer_norm import LayerNorm

    chain = random_chain(family)
    save_checkpoint(folder / "encoder", chain.encoder.to(dtype))
    modules = [
        Transformer(str(folder / "encoder")),
        Pooling(16, pooling),
        Dense(16, 12, bias=False, activation_function=torch.nn.GELU()),
        LayerNorm(12),
        Dense(12, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    for module, part in zip(modules[2:], chain.score, strict=True):
        weights = {key: value for key, value in part.state_dict().items() if not key.startswith("activation")}
        module.load_state_dict(weights)
        module.to(dtype)
    CrossEncoder(modules=modules).save_pretrained(str(folder), create_model_card=False)


def save_mean_chain(folder: Path, family: str, dtype: torch.dtype = torch.float32) -> None:
    """Save a chain that pools by the mean."""
    save_chain(folder, family, dtype, "mean")


LAYOUTS = {"oldest": save_oldest, "old": save_old, "new": save_new, "chain": save_chain, "mean chain": save_mean_chain}


def random_texts(pairs: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Queries and titles of random words; some pairs are longer than MAX_LENGTH."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))

    def text(words: int) -> str:
        return " ".join("".join(rng.choice(letters, rng.integers(1, 4))) for _ in range(words))

    return [text(rng.integers(1, 7)) for _ in range(pairs)], [text(rng.integers(1, 13)) for _ in range(pairs)]


def cross_encoder_scores(folder: Path, queries: list[str], titles: list[str]) -> np.ndarray:
    """Raw scores that `CrossEncoder.predict` gives, in float32, [pair] or [pair, output]."""
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), max_length=MAX_LENGTH, device="cpu", model_kwargs={"dtype": "float32"}).float()
    return model.predict(
        list(zip(queries, titles, strict=True)), activation_fn=torch.nn.Identity(), show_progress_bar=False
    )


def raw_scores(loaded: Loaded, queries: list[str], titles: list[str]) -> np.ndarray:
    """Scores [pair] as the stages take them."""
    model, tokenizer = loaded
    return predict(model, encode_pairs(tokenizer, queries, titles, MAX_LENGTH), tokenizer.pad_token_id)[:, 0]


def close_scores(scores: np.ndarray, expected: np.ndarray) -> bool:
    """Whether scores agree to 1e-5 of the larger of their standard deviation and their largest absolute value."""
    scale = max(expected.std(), np.abs(expected).max())
    return bool(np.abs(scores - expected).max() <= 1e-5 * scale)
