"""What the heads attend to, before and after fine-tuning: dev pairs -> data/attention/, reports/attention/.

Writes profiles.csv (every head's score on each function of `pipeline.analysis.functions`, a row a head, function and
phase), maps.safetensors and showcase.json (whole maps of a few pairs, and their tokens), metrics.json.
"""

from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline import files, paths
from pipeline.analysis import functions, profiles, showcase
from pipeline.corpus.split import sample_queries
from pipeline.corpus.terms import token_terms
from pipeline.model import attention, checkpoints
from pipeline.model.encoding import SPECIAL, Encoded, encode
from pipeline.params import Params
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    models, tokenizer = _load(params)
    dev = pd.read_parquet(paths.DEV)
    dev = dev.iloc[sample_queries(dev["query_id"].to_numpy(), params.attention.max_pairs, params.base.seed)]
    encoded = encode(tokenizer, dev["query"].tolist(), dev["title"].tolist(), params.model.max_length)
    tokens = _tokens(tokenizer, encoded, dev)

    def weigh(pair: int) -> tuple[np.ndarray, np.ndarray]:
        return functions.weights(tokens[pair])

    size = params.attention.batch_tokens
    scores = {
        phase: attention.scores(model, encoded, weigh, tokenizer.pad_token_id, size) for phase, model in models.items()
    }
    chances = np.stack([functions.chance(*weigh(pair)) for pair in range(len(tokens))])
    frame = profiles.profile(scores, chances)
    metrics = profiles.headline(frame, chances)
    shown = _shown(params, dev, encoded, tokens)
    maps = {phase: attention.maps(model, encoded, shown) for phase, model in models.items()}

    files.write_csv(paths.PROFILES, frame)
    files.write_safetensors(
        paths.MAPS, {f"{phase}_{index}": one for phase, kept in maps.items() for index, one in enumerate(kept)}
    )
    files.write_json(paths.SHOWCASE, [_described(tokenizer, encoded, dev, pair) for pair in shown])
    files.write_json(paths.ATTENTION_METRICS, metrics)
    record.metrics = metrics
    record.artifacts = [paths.PROFILES, paths.ATTENTION_METRICS, paths.MAPS, paths.SHOWCASE]


def _load(params: Params) -> tuple[dict[str, PreTrainedModel], PreTrainedTokenizerFast]:
    """The model of each phase, and the tokenizer they share."""
    train = pd.read_parquet(paths.TRAIN, columns=["query", "title"])
    device = checkpoints.pick_device(params.base.device)
    before = checkpoints.load_before(params, [*train["query"], *train["title"]], device, "eager")
    after = checkpoints.load_tuned(paths.MODEL, device, "eager")
    attention.check_comparable(before, after)
    return dict(zip(profiles.PHASES, (before[0], after[0]), strict=True)), after[1]


def _tokens(tokenizer: PreTrainedTokenizerFast, encoded: Encoded, dev: pd.DataFrame) -> list[functions.Tokens]:
    """Each pair's tokens with their words and terms; a special token's name inside a text is text."""
    tokens = []
    for pair, texts in enumerate(zip(dev["query"], dev["title"], strict=True)):
        span = encoded.tokens(pair)
        ids, segment = encoded.ids[span], encoded.segment[span]
        word, key = token_terms(texts, encoded.offsets[span], segment)
        cls, sep = ((segment == SPECIAL) & (ids == special) for special in _ends(tokenizer))
        tokens.append(functions.Tokens(word, key, segment, cls, sep))
    return tokens


def _ends(tokenizer: PreTrainedTokenizerFast) -> tuple[int, int]:
    return tokenizer.cls_token_id, tokenizer.sep_token_id


def _shown(params: Params, dev: pd.DataFrame, encoded: Encoded, tokens: list[functions.Tokens]) -> list[int]:
    return showcase.choose(
        dev["query_id"].to_numpy(),
        dev["grade"].to_numpy(),
        encoded.lengths,
        np.array([showcase.shared_terms(one) for one in tokens]),
        params.attention.showcase_pairs,
    )


def _described(tokenizer: PreTrainedTokenizerFast, encoded: Encoded, dev: pd.DataFrame, pair: int) -> dict[str, Any]:
    row = dev.iloc[pair]
    return {
        "query_id": int(row["query_id"]),
        "query": row["query"],
        "title": row["title"],
        "grade": int(row["grade"]),
        "tokens": attention.readable(tokenizer, encoded, pair, (row["query"], row["title"])),
        "segment": encoded.segment[encoded.tokens(pair)].tolist(),
    }
