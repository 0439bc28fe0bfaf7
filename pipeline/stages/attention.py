"""What the heads attend to, before and after fine-tuning: dev pairs -> data/attention/, reports/attention/.

Writes profiles.csv (every head's score on each function of `pipeline.attention.head_functions`, a row a head, function
and phase), labels.csv (the same against its control: what each head does), moves.csv and mean_moves.csv (what
fine-tuning changed, per head and averaged over heads), places.csv (heads that attend alike lie together),
maps.safetensors and showcase.json (whole maps of a few pairs, and their tokens), metrics.json.
"""

from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.attention import example_pairs, head_functions, head_labels
from pipeline.attention.head_similarity import head_distances, mds_embedding
from pipeline.attention.maps import attention_maps, check_comparable, readable_tokens
from pipeline.attention.pair_tokens import pair_tokens
from pipeline.attention.scoring import AttentionScorer
from pipeline.core import formats, paths
from pipeline.core.config import Params
from pipeline.models import checkpoints
from pipeline.models.finetuning import fine_tune
from pipeline.models.inference import predict
from pipeline.models.tokenization import EncodedPairs, encode_pairs
from pipeline.stats.bootstrap import sample_queries
from pipeline.stats.metrics import split_metrics
from pipeline.tables.attention import (
    ATTENTION_SHIFT,
    ATTENTION_SHIFT_MEAN,
    EXAMPLE_PAIRS,
    HEAD_EMBEDDING,
    LABELS,
    PROFILES,
)
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tracking import Record

COMPARED = 300  # pairs that heads are compared with each other on


def main(params: Params, record: Record) -> None:
    settings, seed = params.attention, params.base.seed
    models, tokenizer = _load(params)
    dev = SPLIT_TABLES[paths.DEV].read()
    dev = dev.iloc[sample_queries(dev["query_id"].to_numpy(), settings.max_pairs, seed)]
    encoded = encode_pairs(tokenizer, dev["query"].tolist(), dev["title"].tolist(), params.model.max_length)
    tokens = pair_tokens(tokenizer, encoded, dev)
    sample = head_labels.Sample.of(dev["query_id"].to_numpy(), params.base.draws, seed)
    readers = {phase: AttentionScorer(model, encoded, tokens, settings.batch_tokens) for phase, model in models.items()}

    scores = {phase: reader.scores() for phase, reader in readers.items()}
    chances = np.stack([head_functions.chance(*head_functions.weights(one)) for one in tokens])
    controls = readers["after"].controls(chances, settings.broad, seed)
    shuffled = readers["after"].shuffled(head_labels.ORDER_FUNCTIONS, seed)
    frame = head_labels.attention_profiles(scores, chances)
    labelled = head_labels.label_heads(scores["after"], controls, shuffled, sample, settings.label_margin)
    moved, means = (
        head_labels.attention_shift(**scores, sample=sample),
        head_labels.mean_attention_shift(**scores, sample=sample),
    )
    metrics = head_labels.profile_metrics(frame, chances) | head_labels.label_counts(labelled, moved)
    if settings.drift_null:
        drifted = AttentionScorer(_drifted(params), encoded, tokens, settings.batch_tokens).scores()
        means = means.merge(head_labels.null_shift(head_labels.mean_attention_shift(scores["before"], drifted, sample)))
        metrics |= head_labels.null_shift_counts(head_labels.attention_shift(scores["before"], drifted, sample))
    places = _places(models["after"], encoded.take(np.arange(min(len(encoded), COMPARED))), settings.batch_tokens)
    places["label"] = places.merge(head_labels.first_label(labelled), how="left")["label"]
    shown = _shown(params, dev, encoded, tokens)
    maps = {phase: attention_maps(model, encoded, shown) for phase, model in models.items()}

    PROFILES.write(frame)
    LABELS.write(labelled)
    ATTENTION_SHIFT.write(moved)
    ATTENTION_SHIFT_MEAN.write(means)
    HEAD_EMBEDDING.write(places)
    formats.write_safetensors(
        paths.MAPS, {f"{phase}_{index}": one for phase, kept in maps.items() for index, one in enumerate(kept)}
    )
    EXAMPLE_PAIRS.write([_described(tokenizer, encoded, dev, pair) for pair in shown])
    formats.write_json(paths.ATTENTION_METRICS, metrics)
    record.metrics = metrics
    tables = [paths.PROFILES, paths.LABELS, paths.MOVES, paths.MEAN_MOVES, paths.PLACES]
    record.artifacts = [*tables, paths.ATTENTION_METRICS, paths.MAPS, paths.SHOWCASE]


def _load(params: Params) -> tuple[dict[str, PreTrainedModel], PreTrainedTokenizerFast]:
    """The model of each phase, and the tokenizer they share."""
    train = SPLIT_TABLES[paths.TRAIN].read()
    device = checkpoints.pick_device(params.base.device)
    before = checkpoints.load_before(params, [*train["query"], *train["title"]], device, "eager")
    after = checkpoints.load_tuned(paths.MODEL, device, "eager")
    check_comparable(before, after)
    return dict(zip(head_labels.PHASES, (before[0], after[0]), strict=True)), after[1]


def _drifted(params: Params) -> PreTrainedModel:
    """The drift null: the same fine-tuning on the same pairs, their grades shuffled over the training split."""
    train, dev = SPLIT_TABLES[paths.TRAIN].read(), SPLIT_TABLES[paths.DEV].read()
    grades = np.random.default_rng([params.base.seed, 7]).permutation(train["grade"].to_numpy())
    texts = [*train["query"], *train["title"]]
    device = checkpoints.pick_device(params.base.device)
    model, tokenizer = checkpoints.load_before(params, texts, device, "eager")
    encoded, judged = (
        encode_pairs(tokenizer, split["query"].tolist(), split["title"].tolist(), params.model.max_length)
        for split in (train, dev)
    )
    pad_id = tokenizer.pad_token_id

    def judge() -> dict[str, float | None]:
        return split_metrics(dev, predict(model, judged, pad_id))[0]

    fine_tune(model, encoded, grades, pad_id, judge, params.finetune, params.base.seed)
    return model


def _places(model: PreTrainedModel, encoded: EncodedPairs, max_tokens: int) -> pd.DataFrame:
    """Where heads lie by how alike they attend: layer, head, x, y, and each axis's share of the variance."""
    found = mds_embedding(head_distances(model, encoded, model.config.pad_token_id, max_tokens))
    layers, heads = checkpoints.dimensions(model)
    layer, head = np.divmod(np.arange(layers * heads), heads)
    (x, y), (share_x, share_y) = found.points.T, found.shares
    return pd.DataFrame({"layer": layer, "head": head, "x": x, "y": y, "share_x": share_x, "share_y": share_y})


def _shown(params: Params, dev: pd.DataFrame, encoded: EncodedPairs, tokens: list[head_functions.Tokens]) -> list[int]:
    return example_pairs.choose_example_pairs(
        dev["query_id"].to_numpy(),
        dev["grade"].to_numpy(),
        encoded.lengths,
        np.array([example_pairs.shared_terms(one) for one in tokens]),
        params.attention.showcase_pairs,
    )


def _described(
    tokenizer: PreTrainedTokenizerFast, encoded: EncodedPairs, dev: pd.DataFrame, pair: int
) -> dict[str, Any]:
    row = dev.iloc[pair]
    return {
        "query_id": int(row["query_id"]),
        "query": row["query"],
        "title": row["title"],
        "grade": int(row["grade"]),
        "tokens": readable_tokens(tokenizer, encoded, pair, (row["query"], row["title"])),
        "segment": encoded.segment[encoded.tokens(pair)].tolist(),
    }
